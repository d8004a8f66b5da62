"""The class lists of ADE20K and COCO, taken from the toolboxes, and the numbers of their classes."""

import contextlib
import importlib
import io
from functools import cache
from importlib.util import find_spec

from mmcoat.compat import use_pytorch_ops
from mmcoat.errors import UsageError

# COCO's category ids run from 1 to 90; its makers dropped these ten after numbering them.
_UNUSED_COCO_IDS = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
_SUPERCATEGORIES = (  # name, and the last category id that belongs to it
    ('person', 1),
    ('vehicle', 9),
    ('outdoor', 15),
    ('animal', 25),
    ('accessory', 33),
    ('sports', 43),
    ('kitchen', 51),
    ('food', 61),
    ('furniture', 70),
    ('electronic', 77),
    ('appliance', 82),
    ('indoor', 90),
)


@cache
def ade20k_classes() -> tuple[str, ...]:
    """Return ADE20K's 150 classes in official order.

    Raises:
        UsageError: MMSegmentation is not installed.
    """
    names = _classes('mmseg', 'ADE20KDataset', 'MMSegmentation')
    return tuple(name.strip() for name in names)  # the list has 'bed ' with a space


@cache
def coco_classes() -> tuple[str, ...]:
    """Return COCO's 80 classes in official order.

    Raises:
        UsageError: MMDetection is not installed.
    """
    return _classes('mmdet', 'CocoDataset', 'MMDetection')


def _classes(toolbox: str, dataset: str, title: str) -> tuple[str, ...]:
    if find_spec(toolbox) is not None:
        use_pytorch_ops()  # without MMCV's operators, upstream's two toolboxes cannot be imported
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # OneDL prints which packages are missing
            datasets = importlib.import_module(f'{toolbox}.datasets')
    except ImportError as error:
        raise UsageError(
            f'the classes of {dataset} come from {title}, which cannot be imported ({error}): '
            'install it, see README'
        ) from None
    return tuple(getattr(datasets, dataset).METAINFO['classes'])


def ade20k_value(name: str) -> int:
    """Return the value of a class in an ADE20K label map, 1 to 150; 0 means no class."""
    return ade20k_classes().index(name) + 1


def coco_categories() -> list[dict[str, object]]:
    """Return the ``categories`` entry of an official COCO annotation file."""
    ids = [number for number in range(1, 91) if number not in _UNUSED_COCO_IDS]
    return [
        {
            'supercategory': next(group for group, last in _SUPERCATEGORIES if number <= last),
            'id': number,
            'name': name,
        }
        for number, name in zip(ids, coco_classes(), strict=True)
    ]
