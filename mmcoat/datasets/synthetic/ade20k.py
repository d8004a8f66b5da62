"""Writes a synthetic data set in the layout of ADE20K, as MMSegmentation reads it."""

from pathlib import Path

import cv2
import numpy as np

from ._files import (
    Progress,
    check_request,
    prepare_folder,
    read_image,
    scene_rng,
    write_image,
    write_info,
    write_jpeg,
    write_readme,
)
from .scenes import STREET_CLASSES, street_scene
from .vocabulary import ADE20K_CLASSES, ade20k_value

_FOLDERS = {'train': 'training', 'val': 'validation'}


def make_ade20k(
    root: str | Path,
    train: int = 200,
    val: int = 40,
    size: tuple[int, int] = (160, 128),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Writes a synthetic data set in the layout of ADE20K (SceneParse150).

    A picture depends on the seed, the split and its number only, so a larger data set begins with
    the pictures of a smaller one.

    Args:
        root: Folder to write; new, empty, or with `overwrite` an earlier synthetic data set.
        train: Number of training images.
        val: Number of validation images.
        size: Width and height in pixels.
        seed: Seed.
        overwrite: Whether to replace a synthetic data set.
        progress: Called after each image with the number done and the number wanted.

    Returns:
        What `dataset_info.json` holds.

    Raises:
        ValueError: Where an argument is out of range or the folder is in use.
    """
    check_request(train, val, size, seed)
    root = Path(root)
    prepare_folder(root, 'ade20k', overwrite)
    info = {
        'synthetic': 'ade20k',
        'complete': False,
        'seed': seed,
        'size': list(size),
        'train': train,
        'val': val,
        'classes': list(STREET_CLASSES),
    }
    write_info(root, info)
    pixels = {'train': np.zeros(256, np.int64), 'val': np.zeros(256, np.int64)}
    done = 0
    for split, count in (('train', train), ('val', val)):
        for kind in ('images', 'annotations'):
            (root / kind / _FOLDERS[split]).mkdir(parents=True)
        for index in range(count):
            pixels[split] += _write_scene(root, split, index, size, seed)
            done += 1
            if progress is not None:
                progress(done, train + val)
    info['complete'] = True
    info['pixels'] = {
        split: {name: int(counts[ade20k_value(name)]) for name in STREET_CLASSES}
        for split, counts in pixels.items()
    }
    _write_object_info(root, pixels['train'])
    write_readme(root, 'Synthetic scenes in the layout of ADE20K', info)
    write_info(root, info)
    return info


def colour_baseline_miou(root: str | Path, bins: int = 16) -> float:
    """Scores a segmentation that looks at one pixel's colour and at nothing else.

    Every cell of a 3-D RGB histogram of the training images answers with its most frequent class.
    A low score shows that the classes of the data set cannot be told by colour.

    Args:
        root: A data set that `make_ade20k` has written.
        bins: Cells along each colour axis.

    Returns:
        The mean intersection over union on the validation images, over the classes present there.
    """
    root = Path(root)
    classes = len(ADE20K_CLASSES) + 1
    counts = np.zeros((bins**3, classes), np.int64)
    for cells, labels in _pixels(root, 'train', bins):
        counts += np.bincount(cells * classes + labels, minlength=counts.size).reshape(counts.shape)
    counts[:, 0] = 0  # unlabelled pixels neither teach nor count
    prior = counts.sum(0).argmax()
    answer = np.where(counts.any(1), counts.argmax(1), prior)
    confusion = np.zeros((classes, classes), np.int64)
    for cells, labels in _pixels(root, 'val', bins):
        pairs = labels * classes + answer[cells]
        confusion += np.bincount(pairs, minlength=confusion.size).reshape(confusion.shape)
    confusion = confusion[1:, 1:]
    hit, truth = np.diag(confusion), confusion.sum(1)
    union = truth + confusion.sum(0) - hit
    return float((hit / np.maximum(union, 1))[truth > 0].mean())


def _pixels(root: Path, split: str, bins: int):
    """Yields, per image, every pixel's histogram cell and label, both flat."""
    for path in sorted((root / 'images' / _FOLDERS[split]).glob('*.jpg')):
        image = read_image(path).astype(np.int64) * bins // 256
        cells = (image[..., 0] * bins + image[..., 1]) * bins + image[..., 2]
        label_path = root / 'annotations' / _FOLDERS[split] / f'{path.stem}.png'
        labels = read_image(label_path, cv2.IMREAD_GRAYSCALE)
        yield cells.ravel(), labels.ravel().astype(np.int64)


def _write_scene(
    root: Path, split: str, index: int, size: tuple[int, int], seed: int
) -> np.ndarray:
    """Writes one image and its labels; returns the (256,) number of pixels per label."""
    scene = street_scene(scene_rng(seed, split, index), *size)
    labels = scene.label_map({name: ade20k_value(name) for name in STREET_CLASSES})
    stem, folder = f'ADE_{split}_{index + 1:08d}', _FOLDERS[split]
    write_jpeg(root / 'images' / folder / f'{stem}.jpg', scene.image)
    write_image(root / 'annotations' / folder / f'{stem}.png', labels)
    return np.bincount(labels.ravel(), minlength=256)


def _write_object_info(root: Path, pixels: np.ndarray) -> None:
    """Writes the table of classes that comes with the real data set."""
    total = max(1, int(pixels.sum()))
    lines = ['Idx\tRatio\tName']
    for value, name in enumerate(ADE20K_CLASSES, 1):
        lines.append(f'{value}\t{pixels[value] / total:.4f}\t{name}')
    (root / 'objectInfo150.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
