"""Textures: every class has a pattern of its own, while its colours overlap with other classes'.

A pattern is an (h, w) float32 array around [-1, 1]; `paint` turns a pattern and a colour into a
`Texture`. The characteristic scale of each pattern is 3 to 12 pixels in a picture 128 pixels high.
"""

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

from .canvas import Texture

Pattern = Callable[[np.random.Generator, int, int, float], np.ndarray]
"""Given a generator, a height, a width and the unit in pixels, returns an (h, w) pattern."""

# Ranges of hue (degrees), saturation and value for each class, the usual ones first; one row is drawn at
# random per region. Rows of different classes overlap on purpose: colour alone must not determine the class.
_ROWS = (
    # class, hue from, hue to, saturation from, to, value from, to
    ('sky', 195, 225, 0.15, 0.5, 0.7, 0.98),
    ('sky', 0, 360, 0.0, 0.12, 0.4, 0.9),
    ('sky', 15, 45, 0.2, 0.6, 0.5, 0.9),
    ('sky', 220, 280, 0.2, 0.5, 0.25, 0.6),
    ('mountain', 245, 285, 0.2, 0.45, 0.3, 0.55),
    ('mountain', 15, 45, 0.15, 0.5, 0.3, 0.7),
    ('mountain', 0, 360, 0.0, 0.12, 0.3, 0.7),
    ('mountain', 80, 150, 0.15, 0.5, 0.25, 0.6),
    ('building', 5, 45, 0.25, 0.6, 0.5, 0.85),
    ('building', 0, 360, 0.0, 0.15, 0.35, 0.85),
    ('building', 190, 240, 0.15, 0.55, 0.4, 0.8),
    ('building', 80, 150, 0.1, 0.45, 0.35, 0.75),
    ('tree', 85, 135, 0.4, 0.7, 0.25, 0.5),
    ('tree', 15, 55, 0.3, 0.7, 0.4, 0.75),
    ('tree', 140, 210, 0.15, 0.45, 0.3, 0.65),
    ('tree', 320, 360, 0.1, 0.45, 0.45, 0.8),
    ('tree', 0, 360, 0.0, 0.12, 0.3, 0.7),
    ('grass', 75, 115, 0.35, 0.65, 0.5, 0.8),
    ('grass', 35, 65, 0.2, 0.6, 0.4, 0.8),
    ('grass', 140, 210, 0.1, 0.4, 0.35, 0.7),
    ('grass', 0, 360, 0.0, 0.12, 0.4, 0.8),
    ('road', 0, 360, 0.0, 0.1, 0.25, 0.5),
    ('road', 15, 45, 0.1, 0.4, 0.3, 0.7),
    ('road', 200, 250, 0.1, 0.35, 0.3, 0.7),
    ('road', 80, 150, 0.08, 0.3, 0.3, 0.65),
    ('sidewalk', 20, 50, 0.05, 0.25, 0.55, 0.85),
    ('sidewalk', 10, 50, 0.15, 0.5, 0.4, 0.8),
    ('sidewalk', 190, 240, 0.1, 0.4, 0.35, 0.75),
    ('sidewalk', 80, 150, 0.1, 0.4, 0.35, 0.7),
    ('earth', 15, 40, 0.35, 0.65, 0.3, 0.6),
    ('earth', 0, 360, 0.0, 0.15, 0.35, 0.75),
    ('earth', 60, 120, 0.15, 0.45, 0.3, 0.65),
    ('earth', 200, 260, 0.08, 0.35, 0.3, 0.65),
    ('water', 195, 235, 0.35, 0.7, 0.3, 0.65),
    ('water', 80, 170, 0.15, 0.5, 0.3, 0.7),
    ('water', 15, 50, 0.15, 0.5, 0.35, 0.75),
    ('water', 0, 360, 0.0, 0.12, 0.35, 0.75),
    ('thing', 0, 360, 0.3, 0.75, 0.35, 0.85),
    ('thing', 0, 360, 0.0, 0.15, 0.3, 0.9),
    ('paintwork', 0, 360, 0.45, 0.85, 0.55, 0.95),
    ('paintwork', 0, 360, 0.0, 0.1, 0.55, 0.95),
    ('jeans', 200, 250, 0.2, 0.6, 0.15, 0.45),
    ('jeans', 0, 360, 0.0, 0.2, 0.15, 0.5),
    ('skin', 15, 30, 0.25, 0.6, 0.35, 0.9),
    ('bark', 15, 40, 0.2, 0.5, 0.25, 0.5),
    ('glass', 180, 240, 0.1, 0.35, 0.2, 0.45),
)
_PALETTES = {name: [ranges for row, *ranges in _ROWS if row == name] for name, *_ in _ROWS}
# Probability of taking the first row; else all rows are equally likely. Classes that are recognised by form
# and place anyway get unusual colours more often, so that colour alone does not identify the other classes.
_USUAL = {'sky': 0.75, 'sidewalk': 0.9, 'tree': 0.92, 'grass': 0.92, 'building': 0.92}
_USUAL_ELSE = 0.96


def pick_colour(rng: np.random.Generator, name: str) -> np.ndarray:
    """Draw an RGB colour in [0, 1] from the palette of a class."""
    rows = _PALETTES[name]
    usual = rng.random() < _USUAL.get(name, _USUAL_ELSE)
    row = 0 if usual else rng.integers(len(rows))
    hue0, hue1, sat0, sat1, val0, val1 = rows[row]
    hue, sat, val = rng.uniform(hue0, hue1), rng.uniform(sat0, sat1), rng.uniform(val0, val1)
    return np.array(colorsys.hsv_to_rgb(hue / 360, sat, val), np.float32)


def noise(rng: np.random.Generator, h: int, w: int, step_y: float, step_x: float) -> np.ndarray:
    """Return smooth noise, (h, w) in about [-1, 1], with features of the given size in pixels."""
    grid_h, grid_w = int(np.ceil(h / step_y)) + 3, int(np.ceil(w / step_x)) + 3
    grid = rng.uniform(-1, 1, (grid_h, grid_w)).astype(np.float32)
    fx, fy = rng.uniform(0, 1, 2)
    warp = np.array([[step_x, 0, -step_x * (1 + fx)], [0, step_y, -step_y * (1 + fy)]], np.float32)
    return cv2.warpAffine(grid, warp, (w, h), flags=cv2.INTER_CUBIC)


def flat(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Smooth, hardly varying: metal, cloth, plaster."""
    return 0.3 * noise(rng, h, w, 16 * unit, 16 * unit)


def clouds(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Soft, wide and very smooth: the sky."""
    soft = noise(rng, h, w, 12 * unit, 30 * unit) + 0.4 * noise(rng, h, w, 6 * unit, 14 * unit)
    gradient = np.linspace(-0.5, 0.5, h, dtype=np.float32)[:, None] * rng.uniform(-1, 1)
    return np.clip(soft, 0, 1) * rng.uniform(0.3, 1) + gradient


def ridges(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Slanted facets, lit on one side: rock faces of mountains."""
    y, x = np.mgrid[:h, :w].astype(np.float32) / unit
    bend = 5 * noise(rng, h, w, 12 * unit, 12 * unit)
    period = rng.uniform(9, 13)
    slant = rng.choice([-1, 1]) * rng.uniform(0.7, 1.2)
    saw = np.mod((x + slant * y + bend) / period, 1)
    return 1.6 * saw - 0.8 + 0.25 * noise(rng, h, w, 2 * unit, 2 * unit)


def leaves(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Round dabs of light and deep shadow, the same in all directions: foliage."""
    dabs = 1.5 * noise(rng, h, w, 2.2 * unit, 2.2 * unit)
    clumps = 0.5 * noise(rng, h, w, 7 * unit, 7 * unit)
    return dabs + clumps + 0.5 * np.linspace(0.7, -1, h, dtype=np.float32)[:, None]


def blades(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Thin upright strokes: grass."""
    fine = noise(rng, h, w, 7 * unit, 1.5 * unit)
    return 1.3 * fine + 0.25 * noise(rng, h, w, 12 * unit, 20 * unit)


def asphalt(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Fine grain on an even surface: roads."""
    grain = noise(rng, h, w, max(1, 1.2 * unit), max(1, 1.2 * unit))
    return 0.3 * grain + 0.15 * noise(rng, h, w, 20 * unit, 30 * unit)


def tiles(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """A slanted chequerboard of slabs: pavements."""
    y, x = np.mgrid[:h, :w].astype(np.float32) / unit
    size = rng.uniform(6, 7)
    row = np.floor(y / size * 1.2)
    column = np.floor((x + rng.uniform(0.3, 0.6) * y) / size)
    board = np.where((row + column) % 2 > 0, 0.6, -0.6).astype(np.float32)
    return board + 0.15 * noise(rng, h, w, 2 * unit, 2 * unit)


def pebbles(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Scattered stones, lit from above, on smooth ground: bare earth."""
    stones = np.zeros((2 * h, 2 * w), np.float32)  # drawn at twice the size, for smooth edges
    count = int(h * w / (42 * unit * unit)) + 1
    centres = np.stack([rng.uniform(0, 2 * w, count), rng.uniform(0, 2 * h, count)], 1)
    for (x, y), radius in zip(centres, rng.uniform(3.2, 5.4, count) * unit, strict=True):
        _stone(stones, x, y + 0.6 * radius, radius, -1.3)
        _stone(stones, x, y, radius, 1.0)
    stones = cv2.resize(stones, (w, h), interpolation=cv2.INTER_AREA)
    return stones + 0.3 * noise(rng, h, w, 10 * unit, 10 * unit)


def ripples(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Long level waves with bright crests: water."""
    y = np.arange(h, dtype=np.float32)[:, None] / unit
    bend = 2.5 * noise(rng, h, w, 10 * unit, 32 * unit)
    wave = np.sin(2 * np.pi * (y + bend) / rng.uniform(5.5, 7))
    glint = np.clip(noise(rng, h, w, 2 * unit, 9 * unit) - 0.45, 0, 1) * 3
    return 0.8 * wave + glint


def stripes(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Hard level bands: shirts."""
    y = np.arange(h, dtype=np.float32)[:, None] / unit + rng.uniform(0, 6)
    bands = np.where(np.mod(y / rng.uniform(4.5, 6), 1) < 0.5, 1.0, -1.0)
    return np.broadcast_to(bands, (h, w)).astype(np.float32)


def facade(rng: np.random.Generator, h: int, w: int, unit: float) -> np.ndarray:
    """Rows and columns of windows, dark by day, some of them lit: buildings."""
    step_x, step_y = rng.uniform(7, 10, 2) * unit
    rows, columns = int(h / step_y) + 2, int(w / step_x) + 2
    glass = -1.0 if rng.random() < 0.75 else 1.0
    lit = np.where(rng.random((rows, columns)) < 0.15, -glass, glass).astype(np.float32)
    y, x = np.arange(h) + 0.2 * step_y, np.arange(w) + 0.2 * step_x
    values = lit[np.ix_((y / step_y).astype(int), (x / step_x).astype(int))]
    in_y = np.abs(np.mod(y / step_y, 1) - 0.55) < rng.uniform(0.26, 0.32)
    in_x = np.abs(np.mod(x / step_x, 1) - 0.55) < rng.uniform(0.24, 0.3)
    wall = 0.12 * noise(rng, h, w, 3 * unit, 3 * unit)
    return np.where(in_y[:, None] & in_x[None], values, wall)


def _stone(pattern: np.ndarray, x: float, y: float, radius: float, value: float) -> None:
    centre, axes = (round(x), round(y)), (round(1.25 * radius), round(0.8 * radius))
    cv2.ellipse(pattern, centre, axes, 0, 0, 360, value, -1)


# Pattern of each class and the range of its strength. Patterns are a cue, beside form, that a small network
# learns early.
_PATTERNS: dict[str, tuple[Pattern, float, float]] = {
    'sky': (clouds, 0.12, 0.28),
    'mountain': (ridges, 0.26, 0.34),
    'building': (facade, 0.38, 0.5),
    'tree': (leaves, 0.4, 0.5),
    'grass': (blades, 0.3, 0.4),
    'road': (asphalt, 0.12, 0.2),
    'sidewalk': (tiles, 0.42, 0.55),
    'earth': (pebbles, 0.24, 0.32),
    'water': (ripples, 0.34, 0.44),
}
_QUIET = (0.08, 0.2)


def paint(
    rng: np.random.Generator,
    colour: np.ndarray,
    pattern: Pattern = flat,
    unit: float = 1.0,
    contrast: float = 0.3,
) -> Texture:
    """Make a texture from a colour and a pattern.

    Args:
        rng: Source of randomness, used when the texture is applied.
        colour: (3,) RGB in [0, 1], the middle of the pattern.
        pattern: What to draw.
        unit: Pixels per unit of the pattern.
        contrast: How far a pattern value of 1 moves the brightness.

    Returns:
        The texture.
    """
    tint = rng.uniform(-0.15, 0.15, 3).astype(np.float32)

    def texture(h: int, w: int) -> np.ndarray:
        values = (contrast * pattern(rng, h, w, unit))[..., None]
        # Half of the change scales the colour and half of it adds light, so that dark colours vary too.
        return np.clip(colour * (1 + 0.5 * values) + (0.5 + tint) * values, 0, 1)

    return texture


def class_texture(rng: np.random.Generator, name: str, unit: float, quiet: bool = False) -> Texture:
    """Make a texture of one of the classes in ``_PATTERNS``, in a colour drawn for it.

    Args:
        rng: Source of randomness.
        name: The class.
        unit: Pixels per unit of the pattern.
        quiet: Whether the pattern is faint, for a background.
    """
    pattern, low, high = _PATTERNS[name]
    if quiet:  # the colour is drawn first here: another order would change the pictures of a seed
        colour = pick_colour(rng, name)
        return paint(rng, colour, pattern, unit, rng.uniform(*_QUIET))
    contrast = rng.uniform(low, high)
    return paint(rng, pick_colour(rng, name), pattern, unit, contrast)
