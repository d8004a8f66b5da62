"""Masks in COCO's forms: polygons and run lengths, both exact."""

import cv2
import numpy as np


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace a mask along the edges of its pixels.

    Args:
        mask: (H, W) bool.

    Returns:
        Polygons in COCO's form, [x0, y0, x1, y1, ...]. Filled polygons cover the mask exactly. COCO's
        polygons cannot have holes, so a piece with a hole is cut in two along the hole.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    mask = mask[top : top + height, left : left + width]
    # cv2 traces the centres of pixels. In a mask enlarged three times, the outline runs through the first and
    # the last rows and columns of each original pixel, and these round to the pixel's two edges.
    large = mask.astype(np.uint8).repeat(3, 0).repeat(3, 1)
    contours, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons = []
    for contour, (_, _, hole, parent) in zip(contours, tree[0] if contours else (), strict=True):
        if parent >= 0:  # the edge of a hole; it is handled with its outline
            continue
        if hole < 0:
            corners = _corners((contour[:, 0] + 1) // 3) + (left, top)
            polygons.append(corners.ravel().astype(float).tolist())
            continue
        piece = np.zeros_like(large)
        cv2.drawContours(piece, [contour], 0, 1, cv2.FILLED)
        piece = (piece[1::3, 1::3] > 0) & mask
        cut = int(contours[hole][:, 0, 0].mean()) // 3
        for half in (slice(None, cut), slice(cut, None)):
            part = np.zeros((top + height, left + width), bool)
            part[top:, left:][:, half] = piece[:, half]
            polygons += mask_to_polygons(part)
    return polygons


def mask_to_rle(mask: np.ndarray) -> dict[str, list[int]]:
    """Return a mask as COCO's uncompressed run lengths, the form of its crowd regions.

    Args:
        mask: (H, W) bool.

    Returns:
        ``size`` [H, W] and ``counts``: lengths of runs down the columns, background first.
    """
    flat = np.concatenate([[False], mask.ravel(order='F')])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return {'size': list(mask.shape), 'counts': counts.tolist()}


def _corners(points: np.ndarray) -> np.ndarray:
    """Keep the corners of a closed (N, 2) outline."""
    points = points[np.any(points != np.roll(points, 1, 0), 1)]
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return points[turns]
