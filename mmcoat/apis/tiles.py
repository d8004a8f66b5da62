"""Segment images of any size tile by tile, with memory bounded by a row of tiles' seams.

Tiles overlap, and neighbours are blended in the middle of the overlap with cosine weights that add up to one,
so there are no hard edges. A label is set as soon as all tiles with its pixel are done, so that scores never
exist for the whole image. The seam below a row of tiles is kept in half precision, as differences to each
pixel's best class: small differences, which decide a label, lose least.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmcoat.errors import UsageError

from .reading import release, zeros


@dataclass(frozen=True)
class Span:
    """Position of a tile along one axis, in pixels.

    Attributes:
        start: First pixel that the model sees.
        stop: One after the last pixel that the model sees.
        low: First pixel to whose label the tile contributes.
        high: One after the last such pixel.
        fade_in: Pixels from ``low`` over which its weight rises from 0 to 1.
        fade_out: Pixels before ``high`` over which it falls to 0.
    """

    start: int
    stop: int
    low: int
    high: int
    fade_in: int
    fade_out: int

    def window(self) -> np.ndarray:
        """Weights of the pixels ``low`` to ``high``, (high - low,) in float32."""
        weights = np.ones(self.high - self.low, np.float32)
        if self.fade_in:
            weights[: self.fade_in] = _ramp(self.fade_in)
        if self.fade_out:
            weights[-self.fade_out :] = 1.0 - _ramp(self.fade_out)
        return weights


def _ramp(length: int) -> np.ndarray:
    return np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / length).astype(np.float32) ** 2


@dataclass(frozen=True)
class TilePlan:
    """Tiles of one size that cover an image evenly.

    Args:
        tile: Height and width of a tile in pixels; an image that is smaller is one smaller tile.
        overlap: Pixels over which neighbours fade into each other, at least; at most a third of a tile.
    """

    tile: tuple[int, int]
    overlap: int

    def __post_init__(self) -> None:
        if min(self.tile) < 32 or not 0 <= self.overlap <= min(self.tile) // 3:
            raise UsageError(
                'tiles must be at least 32 x 32 pixels with an overlap of at most a third of that, '
                f'got tiles of {self.tile[0]} x {self.tile[1]} and an overlap of {self.overlap}'
            )

    def spans(self, length: int, axis: int) -> list[Span]:
        """Return the tiles along an axis (0: vertical, 1: horizontal) of ``length`` pixels."""
        size, overlap = min(self.tile[axis], length), self.overlap
        count = 1 if length <= size else -(-(length - overlap) // (size - overlap))
        starts = [round(i * (length - size) / max(count - 1, 1)) for i in range(count)]
        # neighbours fade into each other around the middle of what both see
        seams = [(starts[i + 1] + starts[i] + size) // 2 for i in range(count - 1)]
        half, rest = overlap // 2, overlap - overlap // 2
        spans = []
        for i, start in enumerate(starts):
            low = seams[i - 1] - half if i else 0
            high = seams[i] + rest if i < count - 1 else length
            fades = (overlap if i else 0, overlap if i < count - 1 else 0)
            spans.append(Span(start, start + size, low, high, *fades))
        return spans


def segment_tiles(
    image: np.ndarray,
    predict: Callable[[np.ndarray], Tensor],
    plan: TilePlan,
    labels: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the label map of an image, tile by tile.

    Args:
        image: (H, W, channels); may be a memory map, because only tiles of it are read.
        predict: Returns the class scores (classes, h, w) of a tile (h, w, channels); one channel means binary
            scores, positive for class 1.
        plan: Size and overlap of the tiles.
        labels: Array for the result, (H, W) of an integer type, for example a memory map; None creates one.
        progress: Called with (tiles done, tiles in all).

    Returns:
        (H, W), ``labels`` or an array of uint8, or of uint16 with more than 256 classes.
    """
    height, width = image.shape[:2]
    rows, columns = plan.spans(height, 0), plan.spans(width, 1)
    total, done = len(rows) * len(columns), 0
    seam: Tensor | None = None  # what a row leaves to the next: (classes, overlap, W)
    for number, row in enumerate(rows):
        left = None
        for column in columns:
            scores = _weighted(predict, image, row, column)
            if labels is None:
                labels = zeros((height, width), np.uint8 if len(scores) <= 256 else np.uint16)
            if seam is None:
                seam = _empty_seam(scores, plan.overlap if len(rows) > 1 else 0, width)
            if number:
                _add_above(scores, seam, row, column)
            if left is not None:
                scores[:, :, : left.shape[2]] += left
            if row.fade_out:
                seam[:, :, column.low : column.high] = scores[:, scores.shape[1] - row.fade_out :]
            left = scores[:, :, scores.shape[2] - column.fade_out :].clone()
            _decide(labels, scores, row, column)
            del scores
            done += 1
            if progress is not None:
                progress(done, total)
        release(image)
        release(labels)
    return labels


def _weighted(predict: Callable, image: np.ndarray, row: Span, column: Span) -> Tensor:
    """Return a tile's weighted scores where it contributes, (classes, row.high - row.low, ...)."""
    tile = np.ascontiguousarray(image[row.start : row.stop, column.start : column.stop])
    scores = predict(tile).float().cpu()
    scores = scores[
        :,
        row.low - row.start : row.high - row.start,
        column.low - column.start : column.high - column.start,
    ]
    # the differences decide the labels; of one class, the sign does
    scores = scores - (scores.amax(0, keepdim=True) if len(scores) > 1 else 0.0)
    return scores.mul_(torch.from_numpy(np.outer(row.window(), column.window())))


def _empty_seam(scores: Tensor, overlap: int, width: int) -> Tensor:
    kind = torch.float16 if len(scores) > 1 else torch.float32
    return torch.zeros(len(scores), overlap, width, dtype=kind)


def _add_above(scores: Tensor, seam: Tensor, row: Span, column: Span) -> None:
    """Add the scores of the row above; the tile on the left has already added those at the left seam.

    A tile writes its own part of the seam after this, and no later tile of the row reads there.
    """
    first = column.fade_in
    scores[:, : row.fade_in, first:] += seam[:, :, column.low + first : column.high]


def _decide(labels: np.ndarray, scores: Tensor, row: Span, column: Span) -> None:
    """Write the labels that no later tile changes."""
    kept = scores[:, : scores.shape[1] - row.fade_out, : scores.shape[2] - column.fade_out]
    found = kept.argmax(0) if len(kept) > 1 else (kept[0] > 0).long()
    place = slice(row.low, row.low + kept.shape[1]), slice(column.low, column.low + kept.shape[2])
    labels[place] = found.numpy().astype(labels.dtype)
