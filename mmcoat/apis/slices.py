"""Join the detections of overlapping tiles of one image: an object across a seam becomes one object.

The rule is that of SAHI (Akyol et al. 2022). If two objects of a class share more than half of the smaller
box, the one with the lower score is merged into the other; then box and mask cover both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmcoat.errors import UsageError

MOST_MASK_BYTES = 4 * 2**30


@dataclass
class Detections:
    """The detections in one part of an image.

    Attributes:
        boxes: (N, 4), x1 y1 x2 y2 in pixels of the part.
        scores: (N,).
        labels: (N,).
        masks: (N, h, w) bool, or None.
        origin: Where the part begins in the image, (y, x).
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    origin: tuple[int, int] = (0, 0)


def places(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Return (start, stop) of tiles that cover ``length`` pixels evenly with at least this overlap."""
    if length <= size:
        return [(0, length)]
    count = -(-(length - overlap) // (size - overlap))
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    return [(start, start + size) for start in starts]


def cut(image: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield ((y, x), tile) of tiles that overlap by a quarter."""
    overlap = min(size) // 4
    for top, bottom in places(image.shape[0], size[0], overlap):
        for left, right in places(image.shape[1], size[1], overlap):
            yield (top, left), np.ascontiguousarray(image[top:bottom, left:right])


def join(
    parts: Sequence[Detections], size: tuple[int, int], most_shared: float = 0.5
) -> Detections:
    """Return the detections of all parts in pixels of the image, the best first.

    Args:
        parts: What was found in each tile, and in the whole image.
        size: Height and width of the image.
        most_shared: Intersection over the smaller box above which two of a class are one object.

    Raises:
        UsageError: The masks of all objects would not fit into memory.
    """
    boxes = np.concatenate([p.boxes + np.tile(p.origin[::-1], 2) for p in parts])
    scores, labels = (np.concatenate([getattr(p, k) for p in parts]) for k in ('scores', 'labels'))
    pieces = [piece for part in parts for piece in _pieces(part)]
    order = np.argsort(-scores, kind='stable')
    boxes, scores, labels = boxes[order].astype(np.float64), scores[order], labels[order]
    groups = _groups(boxes, labels, most_shared)
    first = [group[0] for group in groups]
    masks = None
    if parts and parts[0].masks is not None:
        masks = _paint([[pieces[order[i]] for i in group] for group in groups], size)
    return Detections(boxes[first].astype(np.float32), scores[first], labels[first], masks)


def _groups(boxes: np.ndarray, labels: np.ndarray, most_shared: float) -> list[list[int]]:
    """Return the indices of each object's detections, the best first; grows its box in ``boxes``."""
    free, groups = np.ones(len(boxes), bool), []
    for i in range(len(boxes)):
        if not free[i]:
            continue
        free[i] = False
        group = [i]
        while True:  # compare with the grown box: a long object lies in more than two tiles
            rivals = np.flatnonzero(free & (labels == labels[i]))
            joining = rivals[_shared(boxes[i], boxes[rivals]) > most_shared]
            if not len(joining):
                break
            free[joining] = False
            group += joining.tolist()
            boxes[i, :2] = np.minimum(boxes[i, :2], boxes[joining, :2].min(0))
            boxes[i, 2:] = np.maximum(boxes[i, 2:], boxes[joining, 2:].max(0))
        groups.append(group)
    return groups


def _shared(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection of ``box`` (4,) with each of ``others`` (N, 4) over the smaller area, (N,)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    smaller = np.minimum(areas, (box[2:] - box[:2]).prod())
    return common / np.maximum(smaller, 1e-9)


def _pieces(part: Detections) -> list[tuple[int, int, np.ndarray]]:
    """Return (y, x, mask) of each object; the mask is cut to its true pixels."""
    found = []
    for mask in [] if part.masks is None else part.masks:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            found.append((*part.origin, np.zeros((0, 0), bool)))
            continue
        top, left = rows[0], columns[0]
        inner = mask[top : rows[-1] + 1, left : columns[-1] + 1].copy()
        found.append((part.origin[0] + int(top), part.origin[1] + int(left), inner))
    return found


def _paint(objects: list[list[tuple[int, int, np.ndarray]]], size: tuple[int, int]) -> np.ndarray:
    """Return a mask of the image for each object, (N, H, W)."""
    needed = len(objects) * size[0] * size[1]
    if needed > MOST_MASK_BYTES:
        raise UsageError(
            f'masks of {len(objects)} objects in an image of {size[1]} x {size[0]} pixels take '
            f'{needed / 2**30:.1f} GiB: raise score_thr, or cut the image'
        )
    masks = np.zeros((len(objects), *size), bool)
    for mask, pieces in zip(masks, objects, strict=True):
        for top, left, piece in pieces:
            mask[top : top + piece.shape[0], left : left + piece.shape[1]] |= piece
    return masks
