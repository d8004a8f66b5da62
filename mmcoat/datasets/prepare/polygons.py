"""Fill polygons exactly: the pixels whose centres lie inside."""

import numpy as np


def polygon_mask(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a polygon by the even-odd rule.

    Args:
        points: (N, 2), x and y of its corners; the image's upper left corner is (0, 0).
        shape: Height and width.

    Returns:
        (H, W) bool.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0), strict=True):
        low, high = sorted((y0, y1))
        # rows whose centre line the edge crosses; the lower end of the edge counts, the upper end does not
        first, last = np.ceil(low - 0.5), np.ceil(high - 0.5)
        rows = np.arange(max(0, int(first)), min(height, int(last)))
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
            np.add.at(crossings, (rows, columns), 1)
    return np.cumsum(crossings, 1)[:, :width] % 2 == 1
