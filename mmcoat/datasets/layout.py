"""Check a data set's layout before training, so that a mistake gives one line instead of a traceback."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcoat.errors import UsageError

from .layouts import SEGMENTATION, first_lacking
from .listing import list_pictures

ADE20K = 'images/{training,validation}/*.jpg with annotations/{training,validation}/*.png of the same names'
COCO = 'annotations/instances_{train,val}2017.json with train2017/*.jpg and val2017/*.jpg'
IMAGENET = 'train/<class>/*.JPEG and val/<class>/*.JPEG'
LAYOUTS = {'ADE20KDataset': ADE20K, 'CocoDataset': COCO, 'ImageNet': IMAGENET}
LAYOUTS |= {name: f'{layout.tree} (from {layout.source})' for name, layout in SEGMENTATION.items()}
SEG_SUFFIXES = {'ADE20KDataset': ('.jpg', '.png')}  # image, label map
SEG_SUFFIXES |= {name: layout.suffixes for name, layout in SEGMENTATION.items()}


class LayoutError(UsageError):
    """A data set is missing, or its layout is not the one that its class expects."""


def check_dataset(dataset: Mapping[str, Any]) -> None:
    """Check that a dataset config's folders and files exist, and that every image has a label map.

    Args:
        dataset: Config of one dataset: ``type``, ``data_root``, ``data_prefix``, ``ann_file``.

    Raises:
        LayoutError: One line that names what is missing and the expected layout.
    """
    root, folders = check_places(dataset)
    if {'img_path', 'seg_map_path'} <= set(folders):
        check = _check_listed if dataset.get('ann_file') else _check_pairs
        check(dataset, root, folders['img_path'], folders['seg_map_path'])


def check_places(dataset: Mapping[str, Any]) -> tuple[Path, dict[str, Path]]:
    """Check that the folders and files of a dataset config exist.

    Returns:
        The data root, and the folders by their names in ``data_prefix``.

    Raises:
        LayoutError: As :func:`check_dataset`.
    """
    root = Path(dataset.get('data_root') or '.').expanduser()
    if not root.is_dir():
        raise _error(dataset, root, f'folder {root} does not exist')
    ann_file = dataset.get('ann_file')
    if ann_file and not (root / ann_file).is_file():
        raise _error(dataset, root, f'file {root / ann_file} does not exist')
    folders = {
        name: root / prefix for name, prefix in _prefixes(dataset).items() if prefix is not None
    }
    for folder in folders.values():
        if not folder.is_dir() or not any(folder.iterdir()):
            state = 'is empty' if folder.is_dir() else 'does not exist'
            raise _error(dataset, root, f'folder {folder} {state}')
    return root, folders


def _prefixes(dataset: Mapping[str, Any]) -> dict[str, str | None]:
    prefix = dataset.get('data_prefix') or {}
    return {'img': prefix} if isinstance(prefix, str) else dict(prefix)


def _suffixes(dataset: Mapping[str, Any]) -> tuple[str, str]:
    image, label = SEG_SUFFIXES.get(_type_name(dataset), ('.jpg', '.png'))
    return dataset.get('img_suffix', image), dataset.get('seg_map_suffix', label)


def _check_listed(dataset: Mapping[str, Any], root: Path, images: Path, maps: Path) -> None:
    """Every name in a split's text file needs its image and its label map."""
    path = root / dataset['ann_file']
    names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not names:
        raise _error(dataset, root, f'file {path} lists no image')
    for folder, suffix in zip((images, maps), _suffixes(dataset), strict=True):
        lacking = first_lacking(names, folder, suffix)
        if lacking:
            raise _error(dataset, root, f'{path} lists {lacking}, which does not exist')


def _check_pairs(dataset: Mapping[str, Any], root: Path, images: Path, maps: Path) -> None:
    """Every image of a segmentation set needs its label map."""
    image_suffix, map_suffix = _suffixes(dataset)
    listing = list_pictures(images, image_suffix)
    stems = {name.removesuffix(image_suffix) for name in listing.files}
    if not stems:
        others = f', but {listing.others[0]} and such' if listing.others else ''
        raise _error(dataset, root, f'folder {images} has no {image_suffix} image{others}')
    labelled = {name.removesuffix(map_suffix) for name in list_pictures(maps, map_suffix).files}
    lacking = sorted(stems - labelled)
    if lacking:
        raise _error(
            dataset,
            root,
            f'{len(lacking)} of {len(stems)} images in {images} have no label map '
            f'in {maps}, the first is {lacking[0]}{map_suffix}',
        )


def _type_name(dataset: Mapping[str, Any]) -> str:
    kind = dataset.get('type', 'dataset')
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def _error(dataset: Mapping[str, Any], root: Path, what: str) -> LayoutError:
    name = _type_name(dataset)
    layout = LAYOUTS.get(name)
    expected = f'; {name} expects under {root}: {layout}' if layout else ''
    return LayoutError(
        f'{what}{expected}. Set another place with --cfg-options data_root=PATH, '
        'or draw a small set with tools/make_synthetic_dataset.py'
    )
