"""A transform that leaves out broken images, for the pipelines of any toolbox."""

import logging
from typing import Any

from mmengine.logging import print_log

from mmcoat.registry import TRANSFORMS

from ..checks.pictures import Task, look

BROKEN = ('unreadable_image', 'unreadable_map')


@TRANSFORMS.register_module()
class SkipBroken:
    """Leave out images that are broken or whose label map is; use it first in a training pipeline.

    OpenCV silently fills the missing part of a truncated JPEG with grey, so the image is decoded here once
    more. MMEngine replaces a left-out image by another random one. The log names each left-out image once per
    loading process, with the number so far.
    """

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Return ``results`` unchanged, or None to leave the image out."""
        path = results['img_path']
        if path in self.skipped:
            return None
        seen = look(Task(path, results.get('seg_map_path')))
        reasons = [f'{name}: {detail}' for name, detail in seen.found if name in BROKEN]
        if not reasons:
            return results
        self.skipped[path] = reasons[0]
        print_log(
            f'skipped {path} ({reasons[0]}), {len(self.skipped)} so far in this process',
            logger='current',
            level=logging.WARNING,
        )
        return None

    def __repr__(self) -> str:
        return 'SkipBroken()'
