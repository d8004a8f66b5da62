"""The authors' files: 8 ImageNet classifiers, 12 instance segmenters, 2 detectors, 6 files of Detectron2.

Only the backbone of a Detectron2 file loads, because its heads are Detectron2's; the authors call these files
deprecated.

Names, hashes and mirrors are those of the official repository (``https://github.com/mlpc-ucsd/CoaT``) and
of timm's hub. An official file name ends in the first 8 hex digits of its SHA-256.
"""

import re
from dataclasses import dataclass

from .errors import CheckpointError

SITE = 'https://vcl.ucsd.edu/coat/pretrained/'
HUB = 'https://huggingface.co/timm/{}/resolve/main/model.safetensors'
SCHEME = 'mmcoat://'
TASKS = ('classification', 'instance_segmentation', 'detection', 'detectron2')


@dataclass(frozen=True)
class Published:
    """One published file.

    Attributes:
        name: Short name, used as ``mmcoat://NAME``.
        arch: Name in mmcoat's arch zoo.
        task: One of :data:`TASKS`.
        url: Where the authors keep it.
        sha256: First 8 hex digits of the file's SHA-256.
        mirror: The same weights in timm's form, or None. Their hash is not published, so a file from there is
            verified only by strict loading.
    """

    name: str
    arch: str
    task: str
    url: str
    sha256: str
    mirror: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the authors' file; the file in the cache has the same name."""
        return self.url.rsplit('/', 1)[-1]

    @property
    def mirror_file_name(self) -> str | None:
        """Name of the mirror's file in the cache; on the hub every file is called model.safetensors."""
        return self.mirror and f'timm-{self.mirror.split("/")[4]}.safetensors'


def _imagenet(arch: str, sha256: str, size: str = '') -> Published:
    name = f'coat_{arch}'
    return Published(
        name=f'{name}_{size}' if size else name,
        arch=arch,
        task='classification',
        url=f'{SITE}{name}{f"_{size}x{size}" if size else ""}_{sha256}.pth',
        sha256=sha256,
        mirror=HUB.format(f'{name}_{size}.in1k' if size else f'{name}.in1k'),
    )


def _mask_rcnn(arch: str, schedule: str, sha256: str, cascade: bool = False) -> Published:
    model = f'{"cascade_" if cascade else ""}mask_rcnn_coat_{arch}'
    recipe = f'mstrain_480-800_{"giou_4conv1f_" if cascade else ""}adamw_{schedule}_coco'
    return Published(
        name=f'{model}_{schedule}_coco',
        arch=arch,
        task='instance_segmentation',
        url=f'{SITE}tasks/mmdet/{model}_{recipe}_{sha256}.pth',
        sha256=sha256,
    )


def _deformable_detr(arch: str, sha256: str) -> Published:
    name = f'coat_{arch}_deformable_detr'
    url = f'{SITE}tasks/Deformable-DETR/{name}_{sha256}.pth'
    return Published(name, arch, 'detection', url, sha256)


def _detectron2(arch: str, schedule: str, sha256: str) -> Published:
    model = f'mask_rcnn_coat_{arch}'
    return Published(
        name=f'{model}_{schedule}_detectron2',
        arch=arch,
        task='detectron2',
        url=f'{SITE}tasks/detectron2/{model}_FPN_{schedule}_{sha256}.pth',
        sha256=sha256,
    )


PUBLISHED = (
    _imagenet('lite_tiny', 'e88e96b0'),
    _imagenet('lite_mini', '6b4a8ae5'),
    _imagenet('lite_small', '8d362f48'),
    _imagenet('lite_medium', 'a750cd63'),
    _imagenet('lite_medium', 'f9129688', size='384'),
    _imagenet('tiny', 'c6efc33c'),
    _imagenet('mini', '40667eec'),
    _imagenet('small', '7479cf9b'),
    _mask_rcnn('lite_mini', '1x', '85230aa4'),
    _mask_rcnn('lite_mini', '3x', '564e80d7'),
    _mask_rcnn('lite_small', '1x', '4c9c3f44'),
    _mask_rcnn('lite_small', '3x', 'c7da01b6'),
    _mask_rcnn('mini', '1x', '30d8566d'),
    _mask_rcnn('mini', '3x', '67e59b6f'),
    _mask_rcnn('small', '1x', '7396027e'),
    _mask_rcnn('small', '3x', '1152829c'),
    _mask_rcnn('lite_small', '1x', '2ab58e20', cascade=True),
    _mask_rcnn('lite_small', '3x', '3d224926', cascade=True),
    _mask_rcnn('small', '1x', '3185cd67', cascade=True),
    _mask_rcnn('small', '3x', '4f7a069e', cascade=True),
    _deformable_detr('lite_small', '1801ee09'),
    _deformable_detr('small', '8a86ba55'),
    _detectron2('lite_mini', '1x', '5bb8caf8'),
    _detectron2('lite_mini', '3x', '4dec4a9b'),
    _detectron2('lite_small', '1x', '759f3316'),
    _detectron2('lite_small', '3x', '0a5baf05'),
    _detectron2('mini', '1x', '9ddaa460'),
    _detectron2('mini', '3x', 'f34f1182'),
)


def list_published(task: str | None = None, arch: str | None = None) -> list[Published]:
    """Return all published files, or those of a task or an arch.

    Raises:
        ValueError: ``task`` or ``arch`` has no published file.
    """
    archs = sorted({entry.arch for entry in PUBLISHED})
    if task not in (None, *TASKS):
        raise ValueError(f'task must be one of {TASKS}, got {task!r}')
    if arch not in (None, *archs):
        raise ValueError(f'arch must be one of {archs}, got {arch!r}')
    return [e for e in PUBLISHED if task in (None, e.task) and arch in (None, e.arch)]


def find_published(source: str) -> Published | None:
    """Return the published file of ``mmcoat://NAME`` or of an official URL, None for another URL or a path.

    NAME is the short name, or the official file's name with or without hash and ``.pth``.

    Raises:
        CheckpointError: The name after ``mmcoat://`` is unknown.
    """
    if not source.startswith(SCHEME):
        return next((entry for entry in PUBLISHED if entry.url == source), None)
    name = re.sub(r'\.pth$', '', source[len(SCHEME) :])
    for entry in PUBLISHED:
        stem = entry.file_name[: -len('.pth')]
        if name in (entry.name, stem, stem[: -len(entry.sha256) - 1]):
            return entry
    names = ', '.join(entry.name for entry in PUBLISHED)
    raise CheckpointError(f'{source} is not a published file; the names are {names}')
