"""Where on the earth an image lies: read from GeoTIFF tags or a world file, written beside its label map.

A label map has the pixels of its image, so that the image's own tags hold for it as they are: they are
copied, and no library for coordinate systems is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from . import tiff

SCALE, TIEPOINT, MATRIX = 33550, 33922, 34264
PLACE = (SCALE, TIEPOINT, MATRIX, 34735, 34736, 34737)  # the last are the coordinate system's
KINDS = {34735: 3, 34737: 2}  # SHORT and ASCII; all others are DOUBLE
DOUBLE = 12
NO_DATA = 42113


@dataclass(frozen=True)
class Georeference:
    """Position and coordinate system of an image.

    Attributes:
        tags: GeoTIFF tags by number, as they are in the file.
    """

    tags: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str | Path) -> 'Georeference | None':
        """Return what a file, or a world file beside it, says of its place; None where nothing does."""
        path = Path(path)
        pages = tiff.read_pages(path, 1) if path.suffix.lower() in tiff.SUFFIXES else []
        tags = {tag: pages[0][tag] for tag in PLACE if tag in pages[0]} if pages else {}
        if not {SCALE, TIEPOINT, MATRIX} & set(tags):
            found = (world for world in _world_names(path) if world.is_file())
            tags |= _of_world(next(found, None))
        return cls(tags) if tags else None

    def affine(self) -> tuple[float, ...] | None:
        """Return the six numbers of a world file: A, D, B, E, C, F of the centre of the first pixel.

        None where the image is not placed by an affine map: control points, for example.
        """
        if MATRIX in self.tags:
            a, b, _, x, d, e, _, y = self.tags[MATRIX][:8]
        elif SCALE in self.tags and len(self.tags.get(TIEPOINT, ())) == 6:
            column, row, _, x, y, _ = self.tags[TIEPOINT]
            a, b, d, e = self.tags[SCALE][0], 0.0, 0.0, -self.tags[SCALE][1]
            x, y = x - a * column, y - e * row
        else:
            return None
        return a, d, b, e, x + (a + b) / 2, y + (d + e) / 2

    def write_world(self, path: str | Path) -> Path | None:
        """Write the world file of a picture, ``.pgw`` of ``.png``; it has no place for the system."""
        numbers = self.affine()
        if numbers is None:
            return None
        world = _world_names(Path(path))[0]
        world.write_text(''.join(f'{number:.12f}\n' for number in numbers))
        return world


def write_tiff(
    path: str | Path, labels: np.ndarray, palette: np.ndarray, place: Georeference | None
) -> Path:
    """Write a label map as a TIFF that is compressed without loss, coloured, and placed where known.

    Args:
        path: The file.
        labels: (H, W) of uint8 or uint16.
        palette: Colours of the classes, (classes, 3) uint8.
        place: Of the image.
    """
    extra = TiffImagePlugin.ImageFileDirectory_v2()
    extra.tagtype[NO_DATA], extra[NO_DATA] = 2, '255'
    for tag, value in (place.tags if place else {}).items():
        extra.tagtype[tag], extra[tag] = KINDS.get(tag, DOUBLE), value
    coloured(labels, palette).save(path, compression='tiff_adobe_deflate', tiffinfo=extra)
    return Path(path)


def coloured(labels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Return a label map as a picture whose pixels are the labels; of 8 bits, with the classes' colours."""
    if labels.dtype != np.uint8:
        return Image.fromarray(labels)
    picture = Image.fromarray(labels, mode='P')
    picture.putpalette(palette.tobytes())
    return picture


def _world_names(path: Path) -> list[Path]:
    """Return the names that the world file of a picture may have, the usual one first."""
    if len(path.suffix) < 3:
        return []
    short = f'.{path.suffix[1]}{path.suffix[-1]}w'
    return [path.with_suffix(suffix) for suffix in (short, f'{path.suffix}w', '.wld')]


def _of_world(path: Path | None) -> dict[int, Any]:
    if path is None:
        return {}
    try:
        a, d, b, e, x, y = (float(text) for text in path.read_text().split())
    except (OSError, ValueError):
        return {}
    x, y = x - (a + b) / 2, y - (d + e) / 2
    return {MATRIX: _matrix((a, b, x), (d, e, y))}


def _matrix(first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    rows = [[r[0], r[1], 0.0, r[2]] for r in (first, second)]
    return (*rows[0], *rows[1], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
