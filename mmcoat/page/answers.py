"""Compute what the page shows for an image and for a click: pictures, a legend, times, files."""

import json
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from mmcoat.apis import (
    ClassificationResult,
    DetectionResult,
    Inferencer,
    SegmentationResult,
    models,
)
from mmcoat.apis.inputs import ImageError, read_image
from mmcoat.apis.results import MOST_DRAWN
from mmcoat.visualization.look import Wish, look
from mmcoat.visualization.subject import prepare

ROWS = 20  # maximal number in a legend
Row: TypeAlias = tuple[str, str, np.ndarray]  # name, value, colour


@dataclass(frozen=True)
class Answer:
    """The parts of a result that the page shows.

    Attributes:
        overlay: (H, W, 3) RGB, uint8, as large as the image, so a click on it gives a pixel of the image.
        legend: Names, values and colours.
        files: For download.
        milliseconds: Time from the pixels to the result, without drawing.
    """

    overlay: np.ndarray
    legend: list[Row]
    files: list[Path]
    milliseconds: float


def read_upright(path: str | Path) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 in BGR, rotated according to its EXIF entry.

    Raises:
        ImageError: It cannot be read, or is too large for the page.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        try:
            read_image(path)
        except ImageError as error:  # the message must not show the page's folders
            raise ImageError(str(error).replace(str(path), Path(path).name)) from None
        raise ImageError(f'image {Path(path).name} cannot be read')
    pixels = image.shape[0] * image.shape[1]
    if pixels > MOST_DRAWN:
        raise ImageError(
            f'image {Path(path).name} has {pixels / 1e6:.0f} megapixels, the page takes up to '
            f'{MOST_DRAWN / 1e6:.0f}; tools/infer.py --tiles takes larger ones'
        )
    return image


def answer(inferencer: Inferencer, path: str | Path, folder: str | Path) -> Answer:
    """Run a model on an image and write the result files.

    Args:
        inferencer: The model.
        path: Path of the image.
        folder: Folder for the files.

    Raises:
        ImageError: The image cannot be read.
    """
    image = read_upright(path)
    start = time.perf_counter()
    [result] = inferencer(image)
    milliseconds = 1000 * (time.perf_counter() - start)
    result.name = Path(path).stem
    kinds = ('overlay', 'png') if isinstance(result, SegmentationResult) else ('overlay',)
    files = result.save(folder, kinds)
    if isinstance(result, DetectionResult):
        files.append(Path(folder, f'{result.name}_coco.json'))
        files[-1].write_text(json.dumps(result.to_coco()))
    whole = isinstance(result, ClassificationResult)  # its picture has a list beside the image
    overlay = result.image if whole else result.plot(legend=False)
    return Answer(overlay, legend_of(result), files, milliseconds)


def legend_of(result: Any) -> list[Row]:
    """Return names, values and colours: classes by share of pixels, objects or image classes by score."""
    if isinstance(result, SegmentationResult):
        known = result.label_map[result.label_map < len(result.classes)]
        counts = np.bincount(known, minlength=len(result.classes))
        rows = [(i, f'{counts[i] / result.label_map.size:.1%}') for i in np.argsort(-counts)]
        rows = [row for row in rows if counts[row[0]]]
    elif isinstance(result, DetectionResult):
        rows = [(i, f'{s:.2f}') for i, s in zip(result.labels, result.scores, strict=True)]
    else:
        best = np.argsort(-result.scores)[:5]
        rows = [(i, f'{result.scores[i]:.1%}') for i in best]
    return [(result.classes[i], value, result.palette[i]) for i, value in rows]


def legend_html(rows: list[Row]) -> str:
    """Return a legend as HTML; names come from a checkpoint, so they are escaped."""
    shown = [
        f'<li><i style="background: rgb({", ".join(map(str, colour))})"></i>'
        f'{escape(name)}<b>{escape(value)}</b></li>'
        for name, value, colour in rows[:ROWS]
    ]
    if len(rows) > ROWS:
        shown.append(f'<li>and {len(rows) - ROWS} more</li>')
    return f'<ul class="legend">{"".join(shown) or "<li>nothing found</li>"}</ul>'


def attention(
    inferencer: Inferencer,
    path: str | Path,
    pixel: tuple[int, int],
    folder: str | Path,
    stage: int | None = None,
) -> tuple[Path, float]:
    """Draw the attention of a pixel; return the figure's file and the time in milliseconds.

    Args:
        inferencer: The model.
        path: Path of the image.
        pixel: x and y in the upright image.
        folder: Folder for the figure.
        stage: Number of the stage, from 0; None takes the last one.

    Raises:
        UsageError: The model has no such stage or no CoaT, or the pixel is outside the image.
    """
    start = time.perf_counter()
    image = read_upright(path)
    if models.reads_float(inferencer.cfg):
        image = image.astype(np.float32)
    view = prepare(inferencer.model, inferencer.transforms, image)
    seen = look(inferencer.model, view, 'attention', Wish(stage=stage, pixel=pixel))
    [file] = seen.save(folder, Path(path).stem)
    return file, 1000 * (time.perf_counter() - start)
