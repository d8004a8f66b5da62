"""Check before a run that an evaluator's annotation file is about the images of its data set."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcoat.errors import UsageError

from .walk import datasets, dicts, type_name

# of MMDetection; each reads an ``ann_file`` of its own
METRICS = ('CocoMetric', 'CocoPanopticMetric')
Images = dict[Any, str]


def check_evaluators(cfg: Config, splits: tuple[str, ...]) -> None:
    """Compare the images of ``val_evaluator.ann_file`` with those of the data set, if it is another file.

    COCO's evaluation finds images by their numbers alone, and most files number from 1: with the file of
    another data set it gives results without a word, and images that only this file has count as missed.

    Args:
        cfg: The config of the run.
        splits: Parts of the run, ``train``, ``val`` or ``test``; a training has no evaluator.

    Raises:
        UsageError: The file is not there or cannot be read, or its images are others.
    """
    for split in splits:
        given = [_annotations(dataset) for dataset in datasets(cfg, (split,))]
        if not given or None in given:
            continue  # not all of the images are in a file that is read here
        for path in _files(cfg.get(f'{split}_evaluator')):
            _compare(f'{split}_evaluator.ann_file {path}', path, [str(part) for part in given])


def _annotations(dataset: Mapping[str, Any]) -> str | None:
    root, path = dataset.get('data_root') or '', dataset.get('ann_file')
    return os.path.join(root, path) if path and path.endswith('.json') else None


def _files(evaluators: Any) -> Iterator[str]:
    for part in dicts(evaluators):
        if type_name(part) in METRICS and part.get('ann_file') and '://' not in part['ann_file']:
            yield part['ann_file']


def _compare(name: str, path: str, given: list[str]) -> None:
    if not Path(path).is_file():
        raise UsageError(f'{name} does not exist')
    if not all(map(os.path.isfile, given)):
        return  # the data set's own check, or its loading, says so
    if all(os.path.samefile(path, part) for part in given):
        return
    evaluated = _images(path)
    if evaluated is None:
        raise UsageError(f'{name} is no COCO annotation file')
    loaded: Images = {}
    for part in given:
        loaded |= _images(part) or {}
    if loaded and loaded != evaluated:
        raise UsageError(
            f'{name} is not about the images of {" and ".join(given)}: {_difference(evaluated, loaded)}; '
            "set it to the data set's own file"
        )


def _images(path: str) -> Images | None:
    """Return the names of a file's images by their numbers, without folders; None if it is no COCO file."""
    try:
        content = json.loads(Path(path).read_bytes())
        return {entry['id']: Path(entry['file_name']).name for entry in content['images']}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _difference(evaluated: Images, loaded: Images) -> str:
    for number, name in loaded.items():
        if evaluated.get(number) != name:
            return f'image {number} is {name} there, {evaluated.get(number, "none")} in this file'
    more = [number for number in evaluated if number not in loaded]
    return f'{len(more)} are only in this file, such as image {more[0]}, and would count as missed'
