"""Write a drawn data set in the layout of ADE20K, as MMSegmentation reads it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .scenes import STREET_CLASSES, street_scene
from .vocabulary import ade20k_classes, ade20k_value
from .writing import Progress, draw_set, read_image, write_image, write_jpeg

_FOLDERS = {'train': 'training', 'val': 'validation'}


def make_ade20k(
    root: str | Path,
    train: int = 200,
    val: int = 40,
    size: tuple[int, int] = (160, 128),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a drawn data set in the layout of ADE20K (SceneParse150); see :func:`.writing.draw_set`."""
    return draw_set(_Ade20k(), root, train, val, size, seed, overwrite, progress)


class _Ade20k:
    """Street scenes with their label maps, and the table of classes of the real data set."""

    name, title = 'ade20k', 'Synthetic scenes in the layout of ADE20K'
    classes, settings = STREET_CLASSES, {}

    def __init__(self) -> None:
        self.values = {name: ade20k_value(name) for name in STREET_CLASSES}
        self.pixels = {split: np.zeros(256, np.int64) for split in _FOLDERS}

    def files(self, split: str, count: int) -> list[str]:
        pairs = [_names(split, index) for index in range(count)]
        return [name for pair in pairs for name in pair] + ['objectInfo150.txt']

    def draw(
        self, root: Path, split: str, index: int, rng: np.random.Generator, size: tuple[int, int]
    ) -> None:
        scene = street_scene(rng, *size)
        labels = scene.label_map(self.values)
        image_name, label_name = _names(split, index)
        write_jpeg(root / image_name, scene.image)
        write_image(root / label_name, labels)
        self.pixels[split] += np.bincount(labels.ravel(), minlength=256)

    def finish(self, root: Path) -> dict[str, Any]:
        counts = self.pixels['train']
        total = max(1, int(counts.sum()))
        lines = ['Idx\tRatio\tName']
        for value, name in enumerate(ade20k_classes(), 1):
            lines.append(f'{value}\t{counts[value] / total:.4f}\t{name}')
        (root / 'objectInfo150.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
        return {
            'pixels': {
                split: {name: int(counts[value]) for name, value in self.values.items()}
                for split, counts in self.pixels.items()
            }
        }


def _names(split: str, index: int) -> tuple[str, str]:
    """Return the names of an image and its label map."""
    folder, stem = _FOLDERS[split], f'ADE_{split}_{index + 1:08d}'
    return f'images/{folder}/{stem}.jpg', f'annotations/{folder}/{stem}.png'


def read_pairs(root: Path, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield every image, (H, W, 3) BGR, and its label map, (H, W), both uint8."""
    for path in sorted((root / 'images' / _FOLDERS[split]).glob('*.jpg')):
        label_path = root / 'annotations' / _FOLDERS[split] / f'{path.stem}.png'
        yield read_image(path), read_image(label_path, cv2.IMREAD_GRAYSCALE)


def colour_baseline_miou(root: str | Path, bins: int = 16) -> float:
    """Score a segmentation that uses only each pixel's colour.

    It predicts, for every cell of a 3-D RGB histogram, the cell's most frequent class in the training images.
    A low score shows that colour alone does not distinguish the classes.

    Args:
        root: A data set that ``make_ade20k`` has written.
        bins: Cells along each colour axis.

    Returns:
        The mean intersection over union on the validation images, over the classes present there.
    """
    classes = len(ade20k_classes()) + 1
    counts = np.zeros((bins**3, classes), np.int64)
    for cells, labels in _cells(Path(root), 'train', bins):
        counts += np.bincount(cells * classes + labels, minlength=counts.size).reshape(counts.shape)
    counts[:, 0] = 0  # unlabelled pixels are used neither for training nor for the score
    prior = counts.sum(0).argmax()
    answer = np.where(counts.any(1), counts.argmax(1), prior)
    confusion = np.zeros((classes, classes), np.int64)
    for cells, labels in _cells(Path(root), 'val', bins):
        pairs = labels * classes + answer[cells]
        confusion += np.bincount(pairs, minlength=confusion.size).reshape(confusion.shape)
    confusion = confusion[1:, 1:]
    hit, truth = np.diag(confusion), confusion.sum(1)
    union = truth + confusion.sum(0) - hit
    return float((hit / np.maximum(union, 1))[truth > 0].mean())


def _cells(root: Path, split: str, bins: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the histogram cells and the labels of an image's pixels, both flat."""
    for image, labels in read_pairs(root, split):
        blue, green, red = np.moveaxis(image.astype(np.int64) * bins // 256, -1, 0)
        yield ((blue * bins + green) * bins + red).ravel(), labels.ravel().astype(np.int64)
