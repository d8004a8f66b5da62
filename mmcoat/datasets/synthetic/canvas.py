"""A picture that is painted back to front and remembers which region every stroke belongs to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Texture = Callable[[int, int], np.ndarray]
"""Given a height and a width, returns an (h, w, 3) float32 RGB patch in [0, 1]."""

_SHIFT = 4  # fractional bits of cv2's fixed-point coordinates
_INSIDE = 128  # a pixel belongs to a region when at least half of it is covered


@dataclass
class Region:
    """One painted region: a stretch of stuff or one object.

    Attributes:
        name: Class name, or None for something outside the vocabulary.
        mask: (H, W) bool, everything that the region covers, including hidden parts.
        crowd: Whether the region stands for several objects that are not separated.
    """

    name: str | None
    mask: np.ndarray
    crowd: bool = False


@dataclass
class Scene:
    """A finished picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        regions: Ordered from back to front; the last one is on top.
    """

    image: np.ndarray
    regions: list[Region]

    def label_map(self, values: dict[str, int]) -> np.ndarray:
        """Return an (H, W) uint8 map of class values; 0 if a name has no value."""
        labels = np.zeros(self.image.shape[:2], np.uint8)
        for region in self.regions:
            labels[region.mask] = values.get(region.name, 0)
        return labels

    def visible_masks(self) -> list[np.ndarray]:
        """Return, for every region, the (H, W) bool mask of the part that no later region hides."""
        free = np.ones(self.image.shape[:2], bool)
        masks = []
        for region in reversed(self.regions):
            masks.append(region.mask & free)
            free &= ~region.mask
        return masks[::-1]


class Canvas:
    """Collect painted regions.

    Args:
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.unit = min(width, height) / 128  # textures and strokes grow with the picture
        self.image = np.zeros((height, width, 3), np.float32)
        self.regions: list[Region] = []

    def paint(self, name: str | None, *parts: tuple[np.ndarray, Texture]) -> Region:
        """Paint one region of one or more parts; each part is painted over the previous one.

        Args:
            name: Class name of the region.
            *parts: Pairs of an (H, W) uint8 coverage (255 is full) and its texture.

        Returns:
            The region, already stored.
        """
        covered = np.zeros((self.height, self.width), bool)
        for coverage, texture in parts:
            x, y, w, h = cv2.boundingRect(coverage)
            if w == 0 or h == 0:
                continue
            box = (slice(y, y + h), slice(x, x + w))
            alpha = coverage[box].astype(np.float32)[..., None] / 255
            self.image[box] += alpha * (texture(h, w) - self.image[box])
            covered |= coverage >= _INSIDE
        region = Region(name, covered)
        self.regions.append(region)
        return region

    def polygon(self, points: Sequence[tuple[float, float]] | np.ndarray) -> np.ndarray:
        """Return the (H, W) uint8 coverage of a polygon given by its (x, y) corners."""
        coverage = np.zeros((self.height, self.width), np.uint8)
        fixed = np.round(np.asarray(points, np.float64) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(coverage, [fixed], 255, cv2.LINE_AA, _SHIFT)
        return coverage

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> np.ndarray:
        """Return the (H, W) uint8 coverage of an upright ellipse."""
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        return self.polygon(np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1))

    def below(self, outline: np.ndarray) -> np.ndarray:
        """Return the (H, W) uint8 coverage of everything below a line, given as one height per column."""
        rows = np.arange(self.height, dtype=np.float32)[:, None]
        return (np.clip(rows - outline[None] + 0.5, 0, 1) * 255).astype(np.uint8)
