"""Things: trees, cars, persons and what else stands in a scene, each known by its form.

Every function paints one object whose foot is at column `x` and row `y` and which is about `size`
pixels high, and returns its region.
"""

import itertools
from collections.abc import Callable

import numpy as np

from .canvas import Canvas, Pen, Region, Texture
from .textures import class_texture, flat, leaves, paint, pick_colour, stripes

Draw = Callable[[Canvas, np.random.Generator, float, float, float], Region]


def draw_tree(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a tree: a trunk under a crown of overlapping discs, or a fir."""
    pen = Pen(canvas, x, y, size)
    bark = paint(rng, pick_colour(rng, 'bark'), flat, canvas.unit)
    foliage = class_texture(rng, 'tree', canvas.unit)
    parts = [(pen.polygon((-0.07, 0), (0.07, 0), (0.045, 0.5), (-0.045, 0.5)), bark)]
    crown = np.zeros((canvas.height, canvas.width), np.uint8)
    if rng.random() < 0.25:
        for bottom, half in ((0.18, 0.32), (0.4, 0.26), (0.62, 0.18)):
            top = min(1.0, bottom + 0.42)
            np.maximum(crown, pen.polygon((-half, bottom), (half, bottom), (0, top)), out=crown)
    else:
        for angle in np.linspace(0, 2 * np.pi, 7)[:-1] + rng.uniform(0, 1):
            radius = rng.uniform(0.17, 0.24)
            disc = pen.ellipse(0.2 * np.cos(angle), 0.64 + 0.15 * np.sin(angle), radius)
            np.maximum(crown, disc, out=crown)
    return canvas.paint('tree', *parts, (crown, foliage))


def draw_person(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float
) -> Region:
    """Paints a standing or walking person in a striped shirt."""
    pen = Pen(canvas, x, y, size, mirrored=rng.random() < 0.5, stretch=1.25)
    skin = _plain(canvas, rng, 'skin')
    trousers = _plain(canvas, rng, 'jeans')
    shirt = paint(rng, pick_colour(rng, 'thing'), stripes, canvas.unit, rng.uniform(0.4, 0.6))
    stride, swing = rng.uniform(0.03, 0.13), rng.uniform(0.02, 0.12)
    return canvas.paint(
        'person',
        (
            pen.polygon((-0.11, 0.5), (0.02, 0.5), (-stride + 0.05, 0), (-stride - 0.06, 0)),
            trousers,
        ),
        (pen.polygon((-0.02, 0.5), (0.11, 0.5), (stride + 0.08, 0), (stride - 0.04, 0)), trousers),
        (pen.polygon((-0.14, 0.82), (-0.08, 0.82), (-0.1, 0.45), (-0.15 - swing, 0.45)), skin),
        (pen.polygon((0.08, 0.82), (0.14, 0.82), (0.15 + swing, 0.45), (0.1, 0.45)), skin),
        (pen.polygon((-0.15, 0.83), (0.15, 0.83), (0.12, 0.43), (-0.12, 0.43)), shirt),
        (pen.ellipse(0, 0.9, 0.085, 0.1), skin),
        (pen.polygon((-0.09, 0.93), (0.09, 0.93), (0.05, 1.01), (-0.05, 1.01)), trousers),
    )


def draw_car(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a car from the side, twice as long as high."""
    pen = Pen(canvas, x, y, size, mirrored=rng.random() < 0.5)
    body = _plain(canvas, rng, 'paintwork')
    dark = paint(rng, np.full(3, 0.1, np.float32), flat, canvas.unit, 0.1)
    glass = _plain(canvas, rng, 'glass')
    chrome = paint(rng, np.full(3, 0.75, np.float32), flat, canvas.unit, 0.1)
    back = rng.uniform(-0.85, -0.55)  # where the roof ends: from hatchback to saloon
    return canvas.paint(
        'car',
        (pen.polygon((back, 0.58), (back + 0.22, 1), (0.3, 1), (0.62, 0.58)), body),
        (pen.polygon((back + 0.14, 0.6), (back + 0.28, 0.92), (-0.14, 0.92), (-0.14, 0.6)), glass),
        (pen.polygon((-0.06, 0.6), (-0.06, 0.92), (0.26, 0.92), (0.5, 0.6)), glass),
        (
            pen.polygon(
                (-1.02, 0.2), (-1.02, 0.55), (-0.9, 0.62), (0.62, 0.62), (1, 0.5), (1.04, 0.2)
            ),
            body,
        ),
        (pen.box(-1.0, 0.14, 1.02, 0.23), dark),
        (pen.ellipse(0.96, 0.42, 0.06), chrome),
        (pen.ellipse(-0.58, 0.2, 0.22), dark),
        (pen.ellipse(-0.58, 0.2, 0.11), chrome),
        (pen.ellipse(0.58, 0.2, 0.22), dark),
        (pen.ellipse(0.58, 0.2, 0.11), chrome),
    )


def draw_bus(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a bus from the side: a long box with a row of windows and a stripe."""
    pen = Pen(canvas, x, y, size, mirrored=rng.random() < 0.5)
    body = _plain(canvas, rng, 'thing')
    stripe = _plain(canvas, rng, 'thing')
    dark = paint(rng, np.full(3, 0.1, np.float32), flat, canvas.unit, 0.1)
    glass = _plain(canvas, rng, 'glass')
    windows = [
        (pen.box(left, 0.54, left + 0.24, 0.88), glass) for left in np.arange(-0.9, 0.6, 0.3)
    ]
    return canvas.paint(
        'bus',
        (pen.box(-0.98, 0.12, 0.98, 1), body),
        (pen.box(-0.98, 0.34, 0.98, 0.44), stripe),
        *windows,
        (pen.box(0.64, 0.2, 0.9, 0.88), glass),
        (pen.ellipse(-0.58, 0.14, 0.14), dark),
        (pen.ellipse(0.45, 0.14, 0.14), dark),
    )


def draw_boat(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a sailing boat: a hull, a mast and two sails."""
    pen = Pen(canvas, x, y, size, mirrored=rng.random() < 0.5)
    hull, sail = _plain(canvas, rng, 'thing'), _plain(canvas, rng, 'thing')
    pale = paint(rng, rng.uniform(0.8, 0.95, 3).astype(np.float32), flat, canvas.unit, 0.1)
    bark = _plain(canvas, rng, 'bark')
    return canvas.paint(
        'boat',
        (pen.polygon((-0.3, 0), (0.34, 0), (0.52, 0.2), (-0.42, 0.2)), hull),
        (pen.box(-0.4, 0.16, 0.5, 0.2), pale),
        (pen.box(-0.03, 0.18, 0.01, 1), bark),
        (pen.polygon((0.02, 0.26), (0.44, 0.26), (0.02, 0.98)), pale),
        (pen.polygon((-0.04, 0.26), (-0.34, 0.26), (-0.04, 0.86)), sail),
    )


def draw_stop_sign(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float
) -> Region:
    """Paints an octagonal sign with a rim and a bar; its pole belongs to no class."""
    pen = Pen(canvas, x, y, size)
    pole = paint(rng, np.full(3, rng.uniform(0.3, 0.6), np.float32), flat, canvas.unit, 0.1)
    white = paint(rng, np.full(3, 0.92, np.float32), flat, canvas.unit, 0.05)
    red = np.array([rng.uniform(0.6, 0.85), *rng.uniform(0.05, 0.2, 2)], np.float32)
    angles = (np.arange(8) + 0.5) * np.pi / 4
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    centre = np.array([0, 0.72])
    canvas.paint(None, (pen.box(-0.03, 0, 0.03, 0.5), pole))
    return canvas.paint(
        'stop sign',
        (pen.polygon(*(centre + 0.29 * ring)), white),
        (pen.polygon(*(centre + 0.26 * ring)), paint(rng, red, flat, canvas.unit, 0.1)),
        *((pen.box(left, 0.65, left + 0.06, 0.79), white) for left in (-0.19, -0.085, 0.02, 0.125)),
    )


def draw_umbrella(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float
) -> Region:
    """Paints an open umbrella: a half disc of coloured gores over a stick."""
    pen = Pen(canvas, x, y, size)
    colours = (_plain(canvas, rng, 'thing'), _plain(canvas, rng, 'thing'))
    bark = _plain(canvas, rng, 'bark')
    dome = np.linspace(0, np.pi, 25)
    parts = [(pen.box(-0.025, 0, 0.025, 0.6), bark)]
    edges = np.cos(np.linspace(0, np.pi, 6))
    for index, (right, left) in enumerate(itertools.pairwise(edges)):
        # A gore narrows towards the top like a meridian of a globe.
        outline = [(0.55 * right * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in dome[12::-1]]
        outline += [(0.55 * left * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in dome[:13]]
        parts.append((pen.polygon(*outline), colours[index % 2]))
    return canvas.paint('umbrella', *parts)


def draw_ball(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a ball with coloured sectors."""
    pen = Pen(canvas, x, y, size)
    pale = paint(rng, rng.uniform(0.85, 0.98, 3).astype(np.float32), flat, canvas.unit, 0.1)
    colour = _plain(canvas, rng, 'thing')
    parts = [(pen.ellipse(0, 0.5, 0.5), pale)]
    start = rng.uniform(0, 2 * np.pi)
    for first in start + np.arange(3) * 2 * np.pi / 3:
        angles = np.linspace(first, first + np.pi / 3, 8)
        rim = [(0.5 * np.cos(a), 0.5 + 0.5 * np.sin(a)) for a in angles]
        parts.append((pen.polygon((0, 0.5), *rim), colour))
    parts.append((pen.ellipse(0, 0.5, 0.1), pale))
    return canvas.paint('sports ball', *parts)


def draw_balloon(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float
) -> Region:
    """Paints a hot-air balloon, which belongs to no class."""
    pen = Pen(canvas, x, y, size)
    basket = _plain(canvas, rng, 'bark')
    hull, stripe = _plain(canvas, rng, 'thing'), _plain(canvas, rng, 'thing')
    return canvas.paint(
        None,
        (pen.box(-0.08, 0, 0.08, 0.14), basket),
        (pen.polygon((-0.08, 0.16), (0.08, 0.16), (0.3, 0.5), (-0.3, 0.5)), hull),
        (pen.ellipse(0, 0.64, 0.36), hull),
        (pen.ellipse(0, 0.64, 0.14, 0.36), stripe),
    )


def draw_crowd(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a group of persons that are not told apart, as one crowd region."""
    first = len(canvas.regions)
    count = int(rng.integers(6, 10))
    for offset in rng.permutation(count) - (count - 1) / 2:
        foot = y + rng.uniform(-0.05, 0.05) * size
        draw_person(canvas, rng, x + 0.24 * size * offset, foot, size * rng.uniform(0.85, 1))
    mask = np.any([region.mask for region in canvas.regions[first:]], 0)
    del canvas.regions[first:]
    canvas.regions.append(Region('person', mask, crowd=True))
    return canvas.regions[-1]


def draw_bush(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> Region:
    """Paints a low bush that hides the feet of what stands behind it; it belongs to no class."""
    pen = Pen(canvas, x, y, size)
    texture = paint(rng, pick_colour(rng, 'tree'), leaves, canvas.unit, 0.25)
    crown = pen.ellipse(0, 0.4, 0.6, 0.5)
    for side in (-0.6, 0.6):
        np.maximum(crown, pen.ellipse(side, 0.25, 0.45, 0.35), out=crown)
    return canvas.paint(None, (crown, texture))


def _plain(canvas: Canvas, rng: np.random.Generator, palette: str) -> Texture:
    return paint(rng, pick_colour(rng, palette), flat, canvas.unit)
