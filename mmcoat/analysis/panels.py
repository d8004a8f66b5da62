"""Pictures of single results: tiles with titles in a row, a caption above, what colours mean below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmcoat.visualization.overlays import Color

SIDE = 420  # pixels, the longer side of a tile
SHEET_SIDE = 250  # of one in a contact sheet
MOST_KEPT = 640  # of what is kept of an image until it is drawn
GAP = 6
TEXT = 15
NUMBER = '  '  # in a legend's entry, between a class and what holds for one image alone
WRONG, RIGHT, MISSED, NO_LABEL = (220, 30, 40), (30, 160, 60), (240, 150, 0), (255, 255, 255)


@dataclass
class Tile:
    """A picture in a row.

    Attributes:
        title: Written above it.
        image: (h, w, 3) RGB, uint8.
    """

    title: str
    image: np.ndarray


class Case(Protocol):
    """An image with truth and answer, ready to be drawn."""

    def tiles(self, side: int) -> list[Tile]:
        """Return the row: image, truth, prediction, errors; ``side`` is the longer one of each."""

    def legend(self) -> list[tuple[str, Color]]:
        """Return what the colours mean, the most important first."""


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return height and width whose longer one is ``side``, in the proportions of ``size``."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resized(image: np.ndarray, size: tuple[int, int], labels: bool = False) -> np.ndarray:
    """Return an image or a label map in another height and width; labels stay labels."""
    if image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0]
    how = cv2.INTER_NEAREST if labels else cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(image, size[::-1], interpolation=how)


def shrunk(size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width in which an image is kept: at most ``MOST_KEPT`` pixels long."""
    return size if max(size) <= MOST_KEPT else fitted(size, MOST_KEPT)


def draw(case: Case, caption: str, side: int = SIDE, legend: bool = True) -> np.ndarray:
    """Return the picture of one case, (h, w, 3) RGB, uint8."""
    tiles = case.tiles(side)
    font = ImageFont.load_default(TEXT)
    widths = [max(t.image.shape[1], int(font.getlength(t.title)) + 1) for t in tiles]
    width = sum(widths) + GAP * (len(tiles) + 1)
    head, high = TEXT + 2 * GAP, max(t.image.shape[0] for t in tiles)
    canvas = Image.new('RGB', (width, 2 * head + high), 'white')
    pen = ImageDraw.Draw(canvas)
    pen.text((GAP, GAP), _cut(caption, width - 2 * GAP, font), fill='black', font=font)
    left = GAP
    for tile, wide in zip(tiles, widths, strict=True):
        pen.text((left, head), tile.title, fill=(90, 90, 90), font=font)
        canvas.paste(Image.fromarray(tile.image), (left, 2 * head - GAP))
        left += wide + GAP
    return stack(
        [np.asarray(canvas), strip(case.legend(), width)] if legend else [np.asarray(canvas)]
    )


def sheet(cases: Sequence[Case], captions: Sequence[str]) -> np.ndarray:
    """Return all cases under one another, with one legend."""
    rows = [
        draw(case, caption, SHEET_SIDE, legend=False)
        for case, caption in zip(cases, captions, strict=True)
    ]
    both = [entry for case in cases for entry in case.legend()]
    both.sort(key=lambda entry: NUMBER not in entry[0])  # what is no class comes last
    entries = list(dict.fromkeys((text.split(NUMBER)[0], colour) for text, colour in both))
    return stack([*rows, strip(entries, max(row.shape[1] for row in rows))])


def strip(entries: Sequence[tuple[str, Color]], width: int) -> np.ndarray:
    """Return a legend of ``width`` pixels, in as many lines as it takes."""
    font, line = ImageFont.load_default(TEXT), TEXT + GAP
    places, x, y = [], GAP, GAP
    for text, _ in entries:
        wide = int(font.getlength(text)) + TEXT + 4 * GAP
        if x + wide > width and x > GAP:
            x, y = GAP, y + line
        places.append((x, y))
        x += wide
    canvas = Image.new('RGB', (width, y + line + GAP if entries else GAP), 'white')
    pen = ImageDraw.Draw(canvas)
    for (text, colour), (x, y) in zip(entries, places, strict=True):
        pen.rectangle((x, y, x + TEXT, y + TEXT), fill=tuple(colour), outline='black')
        pen.text((x + TEXT + GAP, y - 1), text, fill='black', font=font)
    return np.asarray(canvas)


def stack(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures under one another on white."""
    width = max(p.shape[1] for p in pictures)
    canvas = np.full((sum(p.shape[0] for p in pictures), width, 3), 255, np.uint8)
    top = 0
    for picture in pictures:
        canvas[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0]
    return canvas


def _cut(text: str, width: int, font: Any) -> str:
    """Return a text that is at most ``width`` pixels long."""
    while len(text) > 8 and font.getlength(text) > width:
        text = text[:-4] + '...'
    return text
