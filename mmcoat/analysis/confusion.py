"""The confusion matrix of a segmentor: what is taken for what, over all pixels."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcoat.errors import UsageError

from .predictions import Predictions, check_maps, label_maps

NORMALIZE = ('truth', 'prediction')


@dataclass
class Confused:
    """Pixels of one class that were taken for another.

    Attributes:
        truth: Name of the class.
        prediction: Name of the other.
        pixels: How many.
        share: Of the pixels of ``truth``, from 0 to 1.
    """

    truth: str
    prediction: str
    pixels: int
    share: float


@dataclass
class Confusion:
    """Counts of pixels.

    Attributes:
        classes: Names.
        matrix: (classes, classes) int64: truth down, prediction across.
        images: How many were added.
    """

    classes: tuple[str, ...]
    matrix: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    images: int = 0

    def __post_init__(self) -> None:
        if not self.matrix.size:
            self.matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)

    def add(self, truth: np.ndarray, answer: np.ndarray, ignored: int, path: str = '') -> None:
        """Count the pixels of an image.

        Args:
            truth: Labels, (H, W).
            answer: Predicted labels, (H, W).
            ignored: The label in ``truth`` of pixels that do not count.
            path: Of the image, for the message of an error.

        Raises:
            AnalysisError: The maps differ in size, or hold a label that is no class.
        """
        count = len(self.classes)
        check_maps(truth, answer, count, ignored, path)
        valid = truth != ignored
        places = truth[valid].astype(np.int64) * count + answer[valid]
        self.matrix += np.bincount(places, minlength=count**2).reshape(count, count)
        self.images += 1

    def iou(self) -> np.ndarray:
        """Return the IoU of each class in [0, 1], NaN where neither truth nor prediction has it."""
        right = np.diag(self.matrix)
        return _divide(right, self.matrix.sum(0) + self.matrix.sum(1) - right)

    def accuracy(self) -> np.ndarray:
        """Return the share of each class's pixels that were found (recall), NaN without any."""
        return _divide(np.diag(self.matrix), self.matrix.sum(1))

    def precision(self) -> np.ndarray:
        """Return the share of what was called each class that is it, NaN where nothing was."""
        return _divide(np.diag(self.matrix), self.matrix.sum(0))

    def summary(self) -> dict[str, float]:
        """Return aAcc, mIoU and mAcc in percent, as MMSegmentation's IoUMetric names them."""
        total = self.matrix.sum()
        return dict(
            aAcc=100 * float(np.diag(self.matrix).sum() / total) if total else float('nan'),
            mIoU=100 * _mean(self.iou()),
            mAcc=100 * _mean(self.accuracy()),
        )

    def normalized(self, by: str = 'truth') -> np.ndarray:
        """Return shares of each row (``'truth'``) or column (``'prediction'``); 0 where that is empty."""
        if by not in NORMALIZE:
            raise ValueError(f'by must be one of {NORMALIZE}, got {by!r}')
        sums = self.matrix.sum(1, keepdims=True) if by == 'truth' else self.matrix.sum(0)
        return np.nan_to_num(_divide(self.matrix, np.broadcast_to(sums, self.matrix.shape)))

    def confusions(self, most: int = 10) -> list[Confused]:
        """Return the pairs of classes with the most confused pixels, the largest first."""
        wrong = self.matrix.copy()
        np.fill_diagonal(wrong, 0)
        sums = self.matrix.sum(1)
        order = np.argsort(-wrong, axis=None, kind='stable')[:most]
        pairs = [divmod(int(place), len(self.classes)) for place in order]
        return [
            Confused(
                self.classes[i], self.classes[j], int(wrong[i, j]), float(wrong[i, j] / sums[i])
            )
            for i, j in pairs
            if wrong[i, j]
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data; what is not defined is None."""
        named = dict(iou=self.iou(), accuracy=self.accuracy(), precision=self.precision())
        scores = [
            dict(name=name, **{key: _plain(values[i]) for key, values in named.items()})
            for i, name in enumerate(self.classes)
        ]
        return dict(
            images=self.images,
            **{key: _plain(value) for key, value in self.summary().items()},
            classes=scores,
            matrix=self.matrix.tolist(),
        )


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float('nan')


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def measure(
    predictions: Predictions, progress: Callable[[int], None] = lambda done: None
) -> Confusion:
    """Count the pixels of a whole data set.

    Args:
        predictions: Of a segmentor.
        progress: Called with the number of images done.

    Raises:
        AnalysisError: A label map does not fit; names the image.
    """
    found = Confusion(predictions.classes)
    for seen in predictions:
        found.add(*label_maps(seen), predictions.ignored, seen.path)
        progress(found.images)
    return found


def write(confusion: Confusion, path: str | Path) -> None:
    """Write the matrix with the scores of each class, as JSON or as arrays (``.npz``).

    Raises:
        UsageError: Another ending.
    """
    path = check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.json':
        path.write_text(json.dumps(confusion.as_dict()) + '\n')
    else:
        names = np.array(confusion.classes)
        np.savez_compressed(path, matrix=confusion.matrix, classes=names, iou=confusion.iou())


def check_target(path: str | Path) -> Path:
    """Return a path that a matrix can be written to.

    Raises:
        UsageError: Another ending than .json or .npz.
    """
    path = Path(path)
    if path.suffix not in ('.json', '.npz'):
        raise UsageError(f'a matrix is written to a file that ends in .json or .npz, got {path}')
    return path
