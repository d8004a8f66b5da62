"""Draw whole scenes: a sky, a far background, the ground and the things that stand on it."""

from collections.abc import Collection

import numpy as np

from . import objects
from .canvas import Canvas, Scene
from .objects import Draw, Pen
from .textures import class_texture, noise, paint

STREET_CLASSES = (
    'building',
    'sky',
    'tree',
    'road',
    'grass',
    'sidewalk',
    'person',
    'earth',
    'mountain',
    'car',
    'water',
)
"""Class names, as in ADE20K, that `street_scene` draws."""

OBJECT_CLASSES = ('person', 'car', 'bus', 'boat', 'stop sign', 'umbrella', 'sports ball')
"""Class names, as in COCO, that `object_scene` draws."""

_GROUNDS = ('water', 'grass', 'earth', 'road', 'sidewalk')
# Streets always have roads and pavements, so bands take the other kinds of ground more often.
_BAND_WEIGHTS = (0.3, 0.22, 0.22, 0.13, 0.13)

# How to draw each object: its painter, width over height, and height range as a part of the
# picture's height, so that every class covers about the same area.
_OBJECTS: dict[str, tuple[Draw, float, float, float]] = {
    'person': (objects.draw_person, 0.55, 0.35, 0.65),
    'car': (objects.draw_car, 2.06, 0.18, 0.32),
    'bus': (objects.draw_bus, 1.96, 0.22, 0.38),
    'boat': (objects.draw_boat, 0.95, 0.3, 0.55),
    'stop sign': (objects.draw_stop_sign, 0.58, 0.4, 0.7),
    'umbrella': (objects.draw_umbrella, 1.1, 0.25, 0.45),
    'sports ball': (objects.draw_ball, 1.0, 0.17, 0.33),
}


def street_scene(rng: np.random.Generator, width: int, height: int) -> Scene:
    """Draw an outdoor scene in which every pixel belongs to a class, except those of a rare balloon.

    Args:
        rng: Source of randomness.
        width: Width in pixels.
        height: Height in pixels.

    Returns:
        The scene; its region names are among `STREET_CLASSES`.
    """
    canvas = Canvas(width, height)
    horizon = height * rng.uniform(0.4, 0.52)
    _fill(canvas, rng, 'sky')
    if rng.random() < 0.12:
        size = height * rng.uniform(0.15, 0.22)
        x = width * rng.uniform(0.1, 0.9)
        objects.draw_balloon(Pen(canvas, rng, x, 0.05 * height + size, size))
    if rng.random() < 0.75:
        _mountains(canvas, rng, horizon)
    if rng.random() < 0.6:
        _buildings(canvas, rng, horizon)
    if rng.random() < 0.4:
        _ground_with_street(canvas, rng, horizon)
    else:
        _ground_in_bands(canvas, rng, horizon)
    _street_things(canvas, rng, horizon)
    return _develop(canvas, rng)


def object_scene(
    rng: np.random.Generator,
    width: int,
    height: int,
    max_objects: int = 5,
    object_scale: float = 1.0,
) -> Scene:
    """Draw up to `max_objects` objects, and sometimes a crowd, in front of a pale background.

    One scene in twelve has no object at all.

    Args:
        rng: Source of randomness.
        width: Width in pixels.
        height: Height in pixels.
        max_objects: Maximal number of objects, without the crowd.
        object_scale: Factor on the objects' heights.

    Returns:
        The scene; regions named in `OBJECT_CLASSES` are objects, all others background.
    """
    canvas = Canvas(width, height)
    horizon = height * rng.uniform(0.3, 0.5)
    _fill(canvas, rng, 'sky', quiet=True)
    if rng.random() < 0.5:
        _mountains(canvas, rng, horizon, quiet=True)
    if rng.random() < 0.4:
        _buildings(canvas, rng, horizon, quiet=True)
    _fill(canvas, rng, str(rng.choice(_GROUNDS)), horizon, quiet=True)
    background = len(canvas.regions)
    _bleach(canvas, rng.uniform(0.5, 0.7), rng.uniform(0.75, 0.95))
    if rng.random() > 1 / 12:
        if rng.random() < 0.12:
            size = object_scale * height * rng.uniform(0.16, 0.24)
            x = width * rng.uniform(0.2, 0.8)
            objects.draw_crowd(Pen(canvas, rng, x, horizon + 0.6 * size, size))
        _place_objects(canvas, rng, horizon, int(rng.integers(1, max_objects + 1)), object_scale)
    for region in canvas.regions[:background]:
        region.name = None
    return _develop(canvas, rng)


def _fill(
    canvas: Canvas,
    rng: np.random.Generator,
    name: str,
    top: float | np.ndarray = -1.0,
    quiet: bool = False,
) -> None:
    """Paint everything below `top` with a class's texture; `top` is one row, or one row per column."""
    outline = np.broadcast_to(np.asarray(top, np.float32), (canvas.width,))
    canvas.paint(name, (canvas.below(outline), class_texture(rng, name, canvas.unit, quiet)))


def _bleach(canvas: Canvas, amount: float, light: float) -> None:
    """Reduce colour and contrast of everything painted so far, as distance does.

    Args:
        canvas: What is painted.
        amount: Share of each pixel that becomes grey `light`, in [0, 1].
        light: Lightness of that grey, in [0, 1].
    """
    canvas.image += np.float32(amount) * (np.float32(light) - canvas.image)


def _mountains(
    canvas: Canvas, rng: np.random.Generator, horizon: float, quiet: bool = False
) -> None:
    x = np.arange(canvas.width, dtype=np.float32)
    outline = np.full(canvas.width, horizon, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        peak = horizon - canvas.height * rng.uniform(0.26, 0.36)
        centre, slope = rng.uniform(0, canvas.width), rng.uniform(0.3, 0.6)
        outline = np.minimum(outline, peak + slope * np.abs(x - centre))
    outline += 1.5 * canvas.unit * noise(rng, 1, canvas.width, 1, 5 * canvas.unit)[0]
    _fill(canvas, rng, 'mountain', outline, quiet)


def _buildings(
    canvas: Canvas, rng: np.random.Generator, horizon: float, quiet: bool = False
) -> None:
    left = canvas.width * rng.uniform(-0.1, 0.4)
    for _ in range(int(rng.integers(1, 3))):
        right = left + canvas.width * rng.uniform(0.25, 0.4)
        top = horizon - canvas.height * rng.uniform(0.22, 0.4)
        block = [(left, horizon + 1), (left, top), (right, top), (right, horizon + 1)]
        if rng.random() < 0.3:
            block.insert(2, ((left + right) / 2, top - 0.08 * canvas.height))
        facade = class_texture(rng, 'building', canvas.unit)
        if quiet:  # after the first draw, so that a seed still gives the same pictures
            facade = class_texture(rng, 'building', canvas.unit, quiet)
        canvas.paint('building', (canvas.polygon(block), facade))
        left = right + canvas.width * rng.choice([-0.01, 0.04, 0.12])


def _ground_in_bands(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Lay two or three kinds of ground in front of each other."""
    count = 2 if rng.random() < 0.85 else 3
    shares = np.concatenate([[0], np.cumsum(rng.dirichlet(np.full(count, 12.0)))])
    edges = horizon + (canvas.height - horizon) * shares
    names = rng.choice(_GROUNDS, count, replace=False, p=_BAND_WEIGHTS)
    if rng.random() < 0.95:  # mostly water is far and the pavement near, as at a shore
        names = sorted(names, key=_GROUNDS.index)
    for name, top, bottom in zip(names, edges[:-1], edges[1:], strict=True):
        outline = np.full(canvas.width, top, np.float32)
        if top > horizon and name in ('grass', 'earth', 'water'):
            bend = noise(rng, 1, canvas.width, 1, 40 * canvas.unit)[0]
            outline += 4 * canvas.unit * bend
        _fill(canvas, rng, str(name), outline)
        if name == 'road':
            _level_marks(canvas, rng, (top + bottom) / 2)


def _ground_with_street(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paint grass, earth or water, and a road towards the horizon with pavements beside it."""
    width, height = canvas.width, canvas.height
    _fill(canvas, rng, str(rng.choice(['grass', 'earth', 'water'], p=[0.4, 0.3, 0.3])), horizon)
    vanish, foot = width * rng.uniform(0.3, 0.7), width * rng.uniform(0.35, 0.65)
    half = width * rng.uniform(0.25, 0.4)
    narrow = 0.18 * half

    def strip(left: float, right: float) -> np.ndarray:
        return canvas.polygon(
            [
                (vanish + narrow * left, horizon),
                (vanish + narrow * right, horizon),
                (foot + half * right, height + 1),
                (foot + half * left, height + 1),
            ]
        )

    if rng.random() < 0.75:
        pavement = class_texture(rng, 'sidewalk', canvas.unit)
        canvas.paint('sidewalk', (strip(-1.8, 1.8), pavement))
    paintwork = paint(rng, np.full(3, 0.88, np.float32), unit=canvas.unit, contrast=0.1)
    lane = strip(-0.06, 0.06)
    period = (height - horizon) / rng.uniform(3, 5)
    dashes = np.mod(np.arange(height) - horizon, period) < 0.55 * period
    lane[~dashes] = 0
    road = class_texture(rng, 'road', canvas.unit)
    canvas.paint('road', (strip(-1, 1), road), (lane, paintwork))


def _level_marks(canvas: Canvas, rng: np.random.Generator, row: float) -> None:
    """Paint a dashed line along a road that runs from side to side."""
    thick = 1.2 * canvas.unit
    paintwork = paint(rng, np.full(3, 0.88, np.float32), unit=canvas.unit, contrast=0.1)
    period = canvas.unit * rng.uniform(18, 26)
    start = rng.uniform(-period, 0)
    marks = np.zeros((canvas.height, canvas.width), np.uint8)
    for left in np.arange(start, canvas.width, period):
        right = left + 0.5 * period
        corners = [(left, row - thick), (right, row - thick), (right, row + thick)]
        np.maximum(marks, canvas.polygon([*corners, (left, row + thick)]), out=marks)
    canvas.paint('road', (marks, paintwork))


def _street_things(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Place trees, cars and persons on the ground; nearer ones are painted over farther ones."""
    ground = _ground_names(canvas)
    wanted = [
        (objects.draw_person, ('sidewalk', 'earth', 'grass', 'road'), 0.6, int(rng.integers(0, 3))),
        (objects.draw_car, ('road', 'earth', 'grass'), 0.34, int(rng.choice(3, p=[0.2, 0.5, 0.3]))),
        (objects.draw_tree, ('grass', 'earth', 'sidewalk'), 0.6, int(rng.integers(1, 4))),
    ]
    things = []
    for draw, grounds, size, count in wanted:
        for _ in range(count):
            spot = _find_spot(canvas, rng, ground, grounds, horizon)
            # Side by side rather than in front of each other, so that forms are hardly hidden.
            if spot is not None and all(
                abs(spot[0] - thing[1]) > 0.22 * canvas.width for thing in things
            ):
                things.append((spot[1], spot[0], draw, size * rng.uniform(0.85, 1.15)))
    for y, x, draw, size in sorted(things, key=lambda thing: thing[0]):
        nearness = 0.8 + 0.4 * (y - horizon) / (canvas.height - horizon)
        draw(Pen(canvas, rng, x, y, size * nearness * canvas.height))


def _ground_names(canvas: Canvas) -> np.ndarray:
    names = np.full((canvas.height, canvas.width), '', 'U16')
    for region in canvas.regions:
        names[region.mask] = region.name or ''
    return names


def _find_spot(
    canvas: Canvas,
    rng: np.random.Generator,
    ground: np.ndarray,
    allowed: Collection[str],
    horizon: float,
) -> tuple[float, float] | None:
    """Return (x, y) on one of the allowed grounds, or None if there is almost no such ground."""
    for _ in range(12):
        x = rng.uniform(0.05, 0.95) * canvas.width
        y = rng.uniform(horizon + 0.05 * canvas.height, 0.97 * canvas.height)
        if ground[int(y), int(x)] in allowed:
            return x, y
    return None


def _place_objects(
    canvas: Canvas, rng: np.random.Generator, horizon: float, count: int, scale: float
) -> None:
    """Place objects on the ground, most of them hardly hidden; nearer ones are painted over farther ones."""
    width, height = canvas.width, canvas.height
    placed: list[tuple[float, float, float, float]] = []
    things = []
    for name in rng.choice(OBJECT_CLASSES, count):
        draw, aspect, low, high = _OBJECTS[str(name)]
        kind = rng.choice(['small', 'usual', 'large'], p=[0.1, 0.75, 0.15])
        low, high = {'small': (0.5 * low, low), 'large': (high, 1.5 * high)}.get(kind, (low, high))
        size = height * min(0.95, scale * rng.uniform(low, high))
        for _ in range(15):
            half = 0.5 * aspect * size
            x = rng.uniform(min(0.6 * half, width / 2), max(width - 0.6 * half, width / 2))
            y = rng.uniform(max(horizon + 0.03 * height, size), 0.98 * height)
            box = (x - half, y - size, x + half, y)
            if all(_overlap(box, other) < 0.3 for other in placed):
                placed.append(box)
                things.append((y, x, draw, size))
                break
    for y, x, draw, size in sorted(things, key=lambda thing: thing[0]):
        draw(Pen(canvas, rng, x, y, size))
        if rng.random() < 0.1:
            side = x + rng.uniform(-0.3, 0.3) * size
            objects.draw_bush(Pen(canvas, rng, side, y + 1, 0.3 * size))


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return the common area of two boxes, divided by the area of the smaller one."""
    common_w = min(a[2], b[2]) - max(a[0], b[0])
    common_h = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return max(0.0, common_w) * max(0.0, common_h) / smaller


def _develop(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Apply the light of the day, haze and the camera's noise."""
    image = np.clip(canvas.image, 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    image *= rng.uniform(0.9, 1.1, 3).astype(np.float32)
    if rng.random() < 0.25:
        haze = np.float32(rng.uniform(0.05, 0.25))
        image += haze * (np.float32(rng.uniform(0.6, 0.85)) - image)
    image += rng.normal(0, 0.012, image.shape).astype(np.float32)
    return Scene((np.clip(image, 0, 1) * 255).astype(np.uint8), canvas.regions)
