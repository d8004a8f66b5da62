"""Things: trees, cars, persons and other objects of a scene, each recognisable by its form.

Every function paints one object with a pen and returns its region.
"""

import itertools
from collections.abc import Callable

import numpy as np

from .canvas import Canvas, Region, Texture
from .textures import class_texture, flat, leaves, paint, pick_colour, stripes


class Pen:
    """Draw shapes in an object's own coordinates, and mix its colours.

    The object stands on (0, 0); y grows upwards and one unit is the object's height in pixels.

    Args:
        canvas: Where the shapes will be painted.
        rng: Source of randomness.
        x: Column of the object's foot.
        y: Row of the object's foot.
        size: Pixels per unit.
    """

    def __init__(
        self, canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float
    ) -> None:
        self.canvas, self.rng = canvas, rng
        self.x, self.y, self.size = x, y, size
        self.scale = np.array([size, -size], np.float64)

    def mirror(self) -> None:
        """Swap left and right with probability 1/2."""
        if self.rng.random() < 0.5:
            self.scale[0] *= -1

    def polygon(self, *points: tuple[float, float]) -> np.ndarray:
        """Return the coverage of a polygon."""
        return self.canvas.polygon((self.x, self.y) + self.scale * np.asarray(points, np.float64))

    def box(self, left: float, bottom: float, right: float, top: float) -> np.ndarray:
        """Return the coverage of an upright rectangle."""
        return self.polygon((left, bottom), (right, bottom), (right, top), (left, top))

    def ellipse(self, x: float, y: float, rx: float, ry: float | None = None) -> np.ndarray:
        """Return the coverage of an ellipse, or of a circle if ``ry`` is not given."""
        x, y = (self.x, self.y) + self.scale * np.array([x, y])
        rx, ry = np.abs(self.scale) * np.array([rx, rx if ry is None else ry])
        return self.canvas.ellipse(x, y, rx, ry)

    def plain(self, palette: str) -> Texture:
        """Return a smooth texture in a colour of a palette."""
        return paint(self.rng, pick_colour(self.rng, palette), flat, self.canvas.unit)

    def smooth(self, colour: float | np.ndarray, contrast: float = 0.1) -> Texture:
        """Return a smooth texture in a grey or RGB colour, in [0, 1]."""
        rgb = np.broadcast_to(np.float32(colour), 3)
        return paint(self.rng, rgb, flat, self.canvas.unit, contrast)


Draw = Callable[[Pen], Region]


def draw_tree(pen: Pen) -> Region:
    """Paint a tree: a trunk under a crown of overlapping discs, or a fir."""
    rng, bark = pen.rng, pen.plain('bark')
    foliage = class_texture(rng, 'tree', pen.canvas.unit)
    trunk = pen.polygon((-0.07, 0), (0.07, 0), (0.045, 0.5), (-0.045, 0.5))
    crown = np.zeros_like(trunk)
    if rng.random() < 0.25:
        for bottom, half in ((0.18, 0.32), (0.4, 0.26), (0.62, 0.18)):
            top = min(1.0, bottom + 0.42)
            np.maximum(crown, pen.polygon((-half, bottom), (half, bottom), (0, top)), out=crown)
    else:
        for angle in np.linspace(0, 2 * np.pi, 7)[:-1] + rng.uniform(0, 1):
            radius = rng.uniform(0.17, 0.24)
            disc = pen.ellipse(0.2 * np.cos(angle), 0.64 + 0.15 * np.sin(angle), radius)
            np.maximum(crown, disc, out=crown)
    return pen.canvas.paint('tree', (trunk, bark), (crown, foliage))


def draw_person(pen: Pen) -> Region:
    """Paint a standing or walking person in a striped shirt."""
    pen.mirror()
    pen.scale[0] *= 1.25
    rng, skin, trousers = pen.rng, pen.plain('skin'), pen.plain('jeans')
    cloth = pick_colour(rng, 'thing')
    shirt = paint(rng, cloth, stripes, pen.canvas.unit, rng.uniform(0.4, 0.6))
    stride, swing = rng.uniform(0.03, 0.13), rng.uniform(0.02, 0.12)
    back_leg = ((-0.11, 0.5), (0.02, 0.5), (-stride + 0.05, 0), (-stride - 0.06, 0))
    front_leg = ((-0.02, 0.5), (0.11, 0.5), (stride + 0.08, 0), (stride - 0.04, 0))
    return pen.canvas.paint(
        'person',
        (pen.polygon(*back_leg), trousers),
        (pen.polygon(*front_leg), trousers),
        (pen.polygon((-0.14, 0.82), (-0.08, 0.82), (-0.1, 0.45), (-0.15 - swing, 0.45)), skin),
        (pen.polygon((0.08, 0.82), (0.14, 0.82), (0.15 + swing, 0.45), (0.1, 0.45)), skin),
        (pen.polygon((-0.15, 0.83), (0.15, 0.83), (0.12, 0.43), (-0.12, 0.43)), shirt),
        (pen.ellipse(0, 0.9, 0.085, 0.1), skin),
        (pen.polygon((-0.09, 0.93), (0.09, 0.93), (0.05, 1.01), (-0.05, 1.01)), trousers),
    )


def draw_car(pen: Pen) -> Region:
    """Paint a car from the side, twice as long as high."""
    pen.mirror()
    body, dark, glass, chrome = (
        pen.plain('paintwork'),
        pen.smooth(0.1),
        pen.plain('glass'),
        pen.smooth(0.75),
    )
    back = pen.rng.uniform(-0.85, -0.55)  # where the roof ends: from hatchback to saloon
    hull = ((-1.02, 0.2), (-1.02, 0.55), (-0.9, 0.62), (0.62, 0.62), (1, 0.5), (1.04, 0.2))
    wheels = [
        (pen.ellipse(x, 0.2, r), t)
        for x in (-0.58, 0.58)
        for r, t in ((0.22, dark), (0.11, chrome))
    ]
    return pen.canvas.paint(
        'car',
        (pen.polygon((back, 0.58), (back + 0.22, 1), (0.3, 1), (0.62, 0.58)), body),
        (pen.polygon((back + 0.14, 0.6), (back + 0.28, 0.92), (-0.14, 0.92), (-0.14, 0.6)), glass),
        (pen.polygon((-0.06, 0.6), (-0.06, 0.92), (0.26, 0.92), (0.5, 0.6)), glass),
        (pen.polygon(*hull), body),
        (pen.box(-1.0, 0.14, 1.02, 0.23), dark),
        (pen.ellipse(0.96, 0.42, 0.06), chrome),
        *wheels,
    )


def draw_bus(pen: Pen) -> Region:
    """Paint a bus from the side: a long box with a row of windows and a stripe."""
    pen.mirror()
    body, stripe = pen.plain('thing'), pen.plain('thing')
    dark, glass = pen.smooth(0.1), pen.plain('glass')
    return pen.canvas.paint(
        'bus',
        (pen.box(-0.98, 0.12, 0.98, 1), body),
        (pen.box(-0.98, 0.34, 0.98, 0.44), stripe),
        *((pen.box(left, 0.54, left + 0.24, 0.88), glass) for left in np.arange(-0.9, 0.6, 0.3)),
        (pen.box(0.64, 0.2, 0.9, 0.88), glass),
        (pen.ellipse(-0.58, 0.14, 0.14), dark),
        (pen.ellipse(0.45, 0.14, 0.14), dark),
    )


def draw_boat(pen: Pen) -> Region:
    """Paint a sailing boat: a hull, a mast and two sails."""
    pen.mirror()
    hull, sail = pen.plain('thing'), pen.plain('thing')
    pale, bark = pen.smooth(pen.rng.uniform(0.8, 0.95, 3)), pen.plain('bark')
    return pen.canvas.paint(
        'boat',
        (pen.polygon((-0.3, 0), (0.34, 0), (0.52, 0.2), (-0.42, 0.2)), hull),
        (pen.box(-0.4, 0.16, 0.5, 0.2), pale),
        (pen.box(-0.03, 0.18, 0.01, 1), bark),
        (pen.polygon((0.02, 0.26), (0.44, 0.26), (0.02, 0.98)), pale),
        (pen.polygon((-0.04, 0.26), (-0.34, 0.26), (-0.04, 0.86)), sail),
    )


def draw_stop_sign(pen: Pen) -> Region:
    """Paint an octagonal sign with a rim and a bar; its pole belongs to no class."""
    pole, white = pen.smooth(pen.rng.uniform(0.3, 0.6)), pen.smooth(0.92, 0.05)
    red = np.array([pen.rng.uniform(0.6, 0.85), *pen.rng.uniform(0.05, 0.2, 2)])
    angles = (np.arange(8) + 0.5) * np.pi / 4
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    centre = np.array([0, 0.72])
    pen.canvas.paint(None, (pen.box(-0.03, 0, 0.03, 0.5), pole))
    return pen.canvas.paint(
        'stop sign',
        (pen.polygon(*(centre + 0.29 * ring)), white),
        (pen.polygon(*(centre + 0.26 * ring)), pen.smooth(red)),
        *((pen.box(left, 0.65, left + 0.06, 0.79), white) for left in (-0.19, -0.085, 0.02, 0.125)),
    )


def draw_umbrella(pen: Pen) -> Region:
    """Paint an open umbrella: a half disc of coloured gores over a stick."""
    colours, bark = (pen.plain('thing'), pen.plain('thing')), pen.plain('bark')
    dome = np.linspace(0, np.pi, 25)
    parts = [(pen.box(-0.025, 0, 0.025, 0.6), bark)]
    edges = np.cos(np.linspace(0, np.pi, 6))
    for index, (right, left) in enumerate(itertools.pairwise(edges)):
        # A gore narrows towards the top like a meridian of a globe.
        outline = [(0.55 * right * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in dome[12::-1]]
        outline += [(0.55 * left * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in dome[:13]]
        parts.append((pen.polygon(*outline), colours[index % 2]))
    return pen.canvas.paint('umbrella', *parts)


def draw_ball(pen: Pen) -> Region:
    """Paint a ball with coloured sectors."""
    pale, colour = pen.smooth(pen.rng.uniform(0.85, 0.98, 3)), pen.plain('thing')
    parts = [(pen.ellipse(0, 0.5, 0.5), pale)]
    for first in pen.rng.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3:
        angles = np.linspace(first, first + np.pi / 3, 8)
        rim = [(0.5 * np.cos(a), 0.5 + 0.5 * np.sin(a)) for a in angles]
        parts.append((pen.polygon((0, 0.5), *rim), colour))
    return pen.canvas.paint('sports ball', *parts, (pen.ellipse(0, 0.5, 0.1), pale))


def draw_balloon(pen: Pen) -> Region:
    """Paint a hot-air balloon, which belongs to no class."""
    basket, hull, stripe = pen.plain('bark'), pen.plain('thing'), pen.plain('thing')
    return pen.canvas.paint(
        None,
        (pen.box(-0.08, 0, 0.08, 0.14), basket),
        (pen.polygon((-0.08, 0.16), (0.08, 0.16), (0.3, 0.5), (-0.3, 0.5)), hull),
        (pen.ellipse(0, 0.64, 0.36), hull),
        (pen.ellipse(0, 0.64, 0.14, 0.36), stripe),
    )


def draw_crowd(pen: Pen) -> Region:
    """Paint a group of persons as one crowd region."""
    canvas, rng = pen.canvas, pen.rng
    first = len(canvas.regions)
    count = int(rng.integers(6, 10))
    for offset in rng.permutation(count) - (count - 1) / 2:
        foot = pen.y + rng.uniform(-0.05, 0.05) * pen.size
        size = pen.size * rng.uniform(0.85, 1)
        draw_person(Pen(canvas, rng, pen.x + 0.24 * pen.size * offset, foot, size))
    mask = np.any([region.mask for region in canvas.regions[first:]], 0)
    canvas.regions[first:] = [Region('person', mask, crowd=True)]
    return canvas.regions[-1]


def draw_bush(pen: Pen) -> Region:
    """Paint a low bush that hides the lower part of objects behind it; it belongs to no class."""
    texture = paint(pen.rng, pick_colour(pen.rng, 'tree'), leaves, pen.canvas.unit, 0.25)
    crown = pen.ellipse(0, 0.4, 0.6, 0.5)
    for side in (-0.6, 0.6):
        np.maximum(crown, pen.ellipse(side, 0.25, 0.45, 0.35), out=crown)
    return pen.canvas.paint(None, (crown, texture))
