"""A small data set in ImageNet's layout: coloured shapes on noise, one shape and colour per class."""

from pathlib import Path

import cv2
import numpy as np

# BGR; two classes share a colour and two a shape, so that neither alone is enough
CLASSES = {
    'n01_red_disc': ('disc', (40, 40, 220)),
    'n02_red_stripes': ('stripes', (40, 40, 220)),
    'n03_blue_disc': ('disc', (220, 80, 40)),
    'n04_green_cross': ('cross', (60, 200, 60)),
}


def draw(kind: str, colour: tuple, rng: np.random.Generator, size: int = 72) -> np.ndarray:
    """Return one picture, (size, size, 3)."""
    picture = rng.integers(90, 150, (size, size, 3), dtype=np.uint8)
    x, y = (int(v) for v in rng.integers(size // 3, 2 * size // 3, 2))
    radius = int(rng.integers(size // 5, size // 3))
    if kind == 'disc':
        cv2.circle(picture, (x, y), radius, colour, -1)
    elif kind == 'stripes':
        for row in range(y % 12, size, 12):
            cv2.line(picture, (0, row), (size, row), colour, 4)
    else:
        cv2.line(picture, (x - radius, y), (x + radius, y), colour, 9)
        cv2.line(picture, (x, y - radius), (x, y + radius), colour, 9)
    return picture


def make_imagenet(root: Path, train: int, val: int, seed: int = 0) -> list[str]:
    """Write ``train`` and ``val`` pictures per class; return the class names."""
    rng = np.random.default_rng(seed)
    for split, number in (('train', train), ('val', val)):
        for name, (kind, colour) in CLASSES.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(number):
                cv2.imwrite(str(folder / f'{name}_{index}.JPEG'), draw(kind, colour, rng))
    return list(CLASSES)
