"""Open one image, or one image and its label map, in any process; nothing heavy is imported here."""

import os
import struct
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # EXIF entry; 1 is upright, 5 to 8 exchange width and height
BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError, struct.error)

warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)


@dataclass
class Task:
    """An image to open, its label map if it has one, and how they are loaded.

    Attributes:
        image: Its path.
        label: Path of its label map.
        opens: Whether to decode the image; otherwise only its file is checked.
        turns: Whether EXIF rotates it.
        map_backend: ``pillow``, ``cv2``, or '' if the map is not decoded.
    """

    image: str
    label: str | None = None
    opens: bool = True
    turns: bool = False
    map_backend: str = 'pillow'


@dataclass
class Seen:
    """The findings in one image.

    Attributes:
        task: Number of the image.
        size: Width and height as loaded; None if it cannot be read.
        found: Names of findings, with details.
        orientation: EXIF's, 1 without one.
        values: Pixels of each value from 0 to 255 of the label map as loaded, (256,).
    """

    task: Task
    size: tuple[int, int] | None = None
    found: list[tuple[str, str]] = field(default_factory=list)
    orientation: int = 1
    values: np.ndarray | None = None


def look(task: Task) -> Seen:
    """Open an image and its label map."""
    seen = Seen(task)
    _look_at_image(seen)
    if task.label is not None:
        _look_at_map(seen)
    return seen


def _look_at_image(seen: Seen) -> None:
    path = seen.task.image
    reason = unfit(path)
    if reason:
        seen.found.append(('unreadable_image', reason))
    if reason or not seen.task.opens:
        return
    try:
        with Image.open(path) as image:
            size, mode = image.size, image.mode
            seen.orientation = _orientation(image)
            # a JPEG is decoded at a small size: the whole file is read in a third of the time
            image.draft(None, (size[0] // 8 or 1, size[1] // 8 or 1))
            image.load()
            plain = _one_colour(image)
    except (Image.UnidentifiedImageError, Image.DecompressionBombError) as error:
        _look_as_opencv(seen, error)
        return
    except BROKEN as error:
        seen.found.append(('unreadable_image', _reason(error)))
        return
    swapped = seen.task.turns and seen.orientation >= 5
    seen.size = (size[1], size[0]) if swapped else size
    if mode.startswith(('I', 'F')):
        seen.found.append(('deep_image', f'mode {mode}'))
    if plain:
        seen.found.append(('blank_image', ''))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (*BROKEN, AttributeError):  # a damaged entry does not rotate
        return 1
    return value if value in range(1, 9) else 1


def _look_as_opencv(seen: Seen, error: Exception) -> None:
    """Try OpenCV for files that Pillow cannot read or finds too large: satellite images of 4 x 16 bits."""
    import cv2

    data = np.fromfile(seen.task.image, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        seen.found.append(('unreadable_image', _reason(error)))
        return
    seen.size = (image.shape[1], image.shape[0])
    if image.dtype != np.uint8:
        seen.found.append(('deep_image', str(image.dtype)))


def _one_colour(image: Image.Image) -> bool:
    extremes = image.getextrema()
    pairs = extremes if isinstance(extremes[0], tuple) else (extremes,)
    return all(low == high for low, high in pairs[:3])


def _look_at_map(seen: Seen) -> None:
    path = seen.task.label
    assert path is not None
    reason = unfit(path)
    if reason:
        missing = reason in ('missing', 'a dangling link')
        seen.found.append(('missing_map' if missing else 'unreadable_map', reason))
    if reason or not seen.task.map_backend:
        return
    try:
        with Image.open(path) as image:
            mode = image.mode
            labels: Any = np.array(image)
    except (*BROKEN, Image.DecompressionBombError) as error:
        seen.found.append(('unreadable_map', _reason(error)))
        return
    loaded = labels if seen.task.map_backend == 'pillow' else _as_opencv(path)
    if loaded is None:
        seen.found.append(('unreadable_map', f'by {seen.task.map_backend}'))
        return
    loaded = loaded.squeeze() if loaded.ndim > 2 else loaded
    if loaded.ndim != 2:
        kind = 'a palette, which cv2 turns into colours' if mode == 'P' else f'mode {mode}'
        seen.found.append(('map_colour', kind))
        return
    _compare_sizes(seen, (loaded.shape[1], loaded.shape[0]))
    _look_at_values(seen, labels, loaded, mode)


def _as_opencv(path: str) -> Any:
    import cv2

    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)


def _compare_sizes(seen: Seen, size: tuple[int, int]) -> None:
    if seen.size is None or size == seen.size:
        return
    turned = ''
    if seen.orientation != 1 and size == seen.size[::-1]:
        turned = f', EXIF orientation {seen.orientation}'
    width, height = seen.size
    seen.found.append(('map_size', f'map {size[0]}x{size[1]}, image {width}x{height}{turned}'))


def _look_at_values(seen: Seen, labels: np.ndarray, loaded: np.ndarray, mode: str) -> None:
    """Compare the values of a map with the 8 bits that training reads."""
    with np.errstate(invalid='ignore'):
        values = loaded.astype(np.uint8)  # as MMSegmentation does
    seen.values = np.bincount(values.ravel(), minlength=256)
    # OpenCV returns a colour for each palette index, and 255 for a 1 in one-bit images
    same = labels.shape == values.shape and np.array_equal(labels, values)
    name = {'1': '1 bit', 'P': 'palette', 'F': 'float'}.get(mode, mode)
    if mode.startswith('I'):
        name = '16 bits or more'
    if not same:
        with np.errstate(invalid='ignore'):
            low, high = float(labels.min()), float(labels.max())
        seen.found.append(('map_values_change', f'{name}, from {low:g} to {high:g}'))
    elif mode != 'L':
        seen.found.append(('map_mode', name))


def unfit(path: str) -> str:
    """Return the reason why a path cannot be an image, '' if it can."""
    if os.path.isdir(path):
        return 'a folder'
    if not os.path.exists(path):
        return 'a dangling link' if os.path.islink(path) else 'missing'
    try:
        return '' if os.path.getsize(path) else 'an empty file'
    except OSError as error:
        return error.strerror or 'no access'


def _reason(error: BaseException) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return 'not an image'
    if isinstance(error, PermissionError):
        return 'no permission'
    return (str(error).splitlines() or [''])[0][:100] or type(error).__name__
