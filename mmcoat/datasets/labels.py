"""Check labels before training: find what a run would silently ignore, or what would stop it hours later."""

import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .classes import dataset_class, known_classes, label_range, strange_classes
from .images import read_channels
from .layout import LayoutError

SAMPLES = 16  # label maps that are read, evenly spaced
IGNORED = 255
FEW = 8  # names that a message lists
LONGEST = 1 << 22  # bytes of a list of categories; LVIS has 1.6 MB


class LabelError(LayoutError):
    """Labels and classes do not fit together."""


def check_labels(sets: Iterable[Mapping[str, Any]], cfg: Mapping[str, Any]) -> None:
    """Check classes that a config states against label maps and annotation files.

    Args:
        sets: Configs of the data sets, without wrappers.
        cfg: The whole config, for ``default_scope`` and ``select_classes``.

    Raises:
        LabelError: Labels would be ignored in silence, or there is none for a class.
    """
    for dataset in sets:
        classes = (dataset.get('metainfo') or {}).get('classes')
        if not classes:
            continue
        cls = dataset_class(dataset['type'], cfg.get('default_scope'))
        kind = str(dataset['type'] if cls is None else cls.__name__)
        known = known_classes(cls)
        maps = (dataset.get('data_prefix') or {}).get('seg_map_path')
        if kind == 'CocoDataset':
            check_categories(dataset, classes)
        elif maps is not None and known and not cfg.get('select_classes'):
            check_selection(classes, known, kind)
        elif maps is not None and not known:
            check_label_maps(dataset, classes)


def check_selection(classes: Sequence[str], known: Sequence[str], kind: str) -> None:
    """Refuse own class names for a dataset class that has other classes and would remap the labels.

    MMSegmentation would take them for a selection of its known classes. It would ignore the labels of all
    other known classes, whatever these numbers mean in the user's label maps, and the loss would be 0 from
    the first step.

    Raises:
        LabelError: ``classes`` differ from ``known``.
    """
    if list(classes) == list(known):
        return
    cure = "set dataset_type = 'BaseSegDataset' for classes of your own, or inherit from a config *_own.py"
    strange = strange_classes(classes, known)
    if strange:
        raise LabelError(f'{kind} has no class {_names(strange)}; {cure}')
    raise LabelError(
        f'{kind} would keep only its own labels of {_names(classes)} and ignore all others: label 1 of the '
        f'maps means {known[0]!r} there, not {classes[0]!r}; {cure}; select_classes = True at the top of the '
        f"config if the maps have {kind}'s labels and only these classes are wanted"
    )


def check_label_maps(dataset: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Check that the files of a segmentation set exist and contain labels of the classes.

    Args:
        dataset: Config of a ``BaseSegDataset``.
        classes: Names of the classes.

    Raises:
        LabelError: One line with the first file that does not fit.
    """
    pairs = _pairs(dataset)
    start, last = label_range(dataset.get('reduce_zero_label'), len(classes))
    step = max(1, len(pairs) // SAMPLES)
    labelled = False
    for _, path in pairs[::step]:
        values = _values(path)
        labels = values[(values >= start) & (values != IGNORED)]
        labelled |= len(labels) > 0
        if len(labels) and labels.max() > last:
            raise LabelError(
                f'{path} holds the label {labels.max()}, but {len(classes)} classes have labels {start} '
                f'to {last} (reduce_zero_label={start == 1}); 255 is ignored'
            )
    if pairs and not labelled:
        raise LabelError(
            f'{len(pairs[::step])} label maps like {pairs[0][1]} hold nothing but ignored pixels '
            f'(reduce_zero_label={start == 1})'
        )
    steps = dataset.get('pipeline') or []
    if pairs and steps and str(steps[0].get('type', '')).endswith('LoadChannels'):
        read_channels(pairs[0][0], steps[0]['channels'])


def check_categories(dataset: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Check that an annotation file in COCO's format has the classes.

    Raises:
        LabelError: A class is missing; training would silently see no objects of it.
    """
    path = Path(dataset.get('data_root') or '.').expanduser() / dataset['ann_file']
    if set(classes) <= set(_glance(path)):
        return
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        names = [entry['name'] for entry in content['categories']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
        raise LabelError(f"{path} is not an annotation file in COCO's format ({reason})") from None
    lacking = [name for name in classes if name not in names]
    if lacking:
        raise LabelError(f'{path} has no category {_names(lacking)}; it has {_names(names)}')


def _glance(path: Path) -> list[str]:
    """Return the names of the last list of categories in a file, none where there is a doubt.

    COCO's file takes 450 MB; this reads the end of it, and each process of a run does so.
    """
    try:
        with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            at = text.rfind(b'"categories"')
            whole = text[-64:].rstrip().endswith(b'}')
            rest = text[at : at + LONGEST].decode(errors='replace').partition(':')[2].lstrip()
        entries = json.JSONDecoder().raw_decode(rest)[0] if at >= 0 and whole else []
        return [entry['name'] for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _pairs(dataset: Mapping[str, Any]) -> list[tuple[Path, Path]]:
    """Return image and label map of each sample that the data set reads."""
    root = Path(dataset.get('data_root') or '.').expanduser()
    prefix = dataset['data_prefix']
    images, maps = root / prefix['img_path'], root / prefix['seg_map_path']
    img_suffix = dataset.get('img_suffix', '.jpg')
    if dataset.get('ann_file'):
        lines = (root / dataset['ann_file']).read_text(encoding='utf-8').splitlines()
        names = [line.strip() for line in lines]
    else:
        found = sorted(images.rglob(f'*{img_suffix}'))
        names = [str(path.relative_to(images))[: -len(img_suffix)] for path in found]
    suffix = dataset.get('seg_map_suffix', '.png')
    pairs = [(images / f'{name}{img_suffix}', maps / f'{name}{suffix}') for name in names]
    for path in (path for pair in pairs for path in pair):
        if not path.is_file():
            raise LabelError(f'{path} does not exist')
    return pairs


def _values(path: Path) -> np.ndarray:
    """Return the different values of a label map."""
    try:
        with Image.open(path) as file:
            labels = np.asarray(file)
    except (OSError, ValueError) as error:
        raise LabelError(f'{path} cannot be read as a label map: {error}') from None
    if labels.ndim != 2:
        raise LabelError(
            f'{path} is a colour picture, not a map of labels: translate it with '
            'tools/prepare_dataset.py pairs --colors'
        )
    return np.unique(labels)


def _names(names: Sequence[str]) -> str:
    more = f' and {len(names) - FEW} more' if len(names) > FEW else ''
    return ', '.join(names[:FEW]) + more
