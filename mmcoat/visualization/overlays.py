"""Results drawn over their images: label maps with a legend, boxes and masks with names and scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEGEND_ROWS = 24  # maximal number of classes in a legend, largest first
STRIP = 256  # rows drawn at a time, because an image in floats is many times as large
Color = tuple[int, int, int]


def palette_of(palette: Sequence[Sequence[int]] | None, count: int) -> np.ndarray:
    """Return ``count`` colours, (count, 3) uint8: those of the data set, or else distinct ones."""
    if palette is not None and len(palette) >= count:
        return np.asarray(palette[:count], np.uint8)
    # golden-angle hues and two brightnesses, so that neighbours in the list differ
    hues = (np.arange(count) * 0.618034) % 1.0
    value = np.where(np.arange(count) % 2, 255, 190)
    rgb = [np.clip(np.abs((hues * 6 + shift) % 6 - 3) - 1, 0, 1) for shift in (0, 4, 2)]
    return (np.stack(rgb, 1) * value[:, None]).astype(np.uint8)


def as_picture(image: np.ndarray) -> np.ndarray:
    """Return an image of any bands as one looks at it, (H, W, 3) uint8.

    Args:
        image: (H, W, C). The first three bands are shown as red, green and blue, the first of fewer as grey.
            uint8 is shown as it is; of other types, each band's 2nd to 98th percentile.
    """
    bands = [0, 1, 2] if image.shape[2] >= 3 else [0, 0, 0]
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image[..., bands])
    picture = np.empty((*image.shape[:2], 3), np.uint8)
    for channel, band in enumerate(bands):
        picture[..., channel] = _stretched(image[..., band])
    return picture


def _stretched(band: np.ndarray) -> np.ndarray:
    step = int(np.sqrt(band.size / 1e6)) + 1  # a million values tell the range
    sample = np.asarray(band[::step, ::step], np.float32)
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, (2, 98)) if sample.size else (0.0, 1.0)
    shown = (np.asarray(band, np.float32) - low) / max(high - low, 1e-12)
    return (255 * np.nan_to_num(shown).clip(0, 1)).round().astype(np.uint8)


def draw_label_map(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: np.ndarray,
    opacity: float = 0.5,
    ignored: int = 255,
    legend: bool = True,
) -> np.ndarray:
    """Return the image under its coloured label map, beside a legend of the classes present.

    Args:
        image: (H, W, 3) RGB, uint8.
        labels: (H, W), class indices.
        classes: Names.
        palette: (classes, 3) uint8.
        opacity: Of the colours, from 0 to 1.
        ignored: A label that gets no colour.
        legend: Whether the classes are listed on the right.

    Returns:
        (H, W + legend, 3) RGB, uint8; at least as high as the legend.
    """
    colours = np.vstack([palette, np.zeros((1, 3), np.uint8)])
    shown, counts = np.empty_like(image), np.zeros(len(classes) + 1, np.int64)
    for top in range(0, len(image), STRIP):
        rows = slice(top, top + STRIP)
        known = np.where(labels[rows] < len(classes), labels[rows], len(classes)).astype(np.int64)
        counts += np.bincount(known.ravel(), minlength=len(counts))
        mixed = (image[rows] * (1.0 - opacity) + colours[known] * opacity).round().astype(np.uint8)
        shown[rows] = np.where((labels[rows] == ignored)[..., None], image[rows], mixed)
    if not legend:
        return shown
    entries = [
        (f'{classes[i]}  {counts[i] / labels.size:.1%}', tuple(palette[i].tolist()))
        for i in np.argsort(-counts[:-1], kind='stable')
        if counts[i]
    ]
    return beside_legend(shown, entries)


def beside_legend(image: np.ndarray, entries: Sequence[tuple[str, Color]]) -> np.ndarray:
    """Return (H, W, 3) with a legend on the right; the text size grows with the image."""
    if not entries:
        return image
    size = int(np.clip(image.shape[0] / 26, 12, 48))
    font, pad = ImageFont.load_default(size), size // 2
    hidden = len(entries) - LEGEND_ROWS
    texts = [text for text, _ in entries[:LEGEND_ROWS]]
    texts += [f'and {hidden} more'] if hidden > 0 else []
    width = int(max(font.getlength(text) for text in texts)) + size + 3 * pad
    height = max(image.shape[0], len(texts) * (size + pad) + pad)
    canvas = Image.new('RGB', (image.shape[1] + width, height), 'white')
    canvas.paste(Image.fromarray(image))
    pen = ImageDraw.Draw(canvas)
    for row, text in enumerate(texts):
        x, y = image.shape[1] + pad, pad + row * (size + pad)
        if row < min(len(entries), LEGEND_ROWS):
            pen.rectangle((x, y, x + size, y + size), fill=entries[row][1], outline='black')
        pen.text((x + size + pad, y), text, fill='black', font=font)
    return np.asarray(canvas)


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray | None,
    classes: Sequence[str],
    palette: np.ndarray,
    opacity: float = 0.5,
) -> np.ndarray:
    """Return the image with boxes, names, scores and masks; the best are drawn on top.

    Args:
        image: (H, W, 3) RGB, uint8.
        boxes: (N, 4), x1 y1 x2 y2 in pixels.
        labels: (N,) class indices.
        scores: (N,).
        masks: (N, H, W) bool, or None.
        classes: Names.
        palette: (classes, 3) uint8.
        opacity: Of the masks, from 0 to 1.

    Returns:
        (H, W, 3) RGB, uint8.
    """
    order = np.argsort(scores)
    shown = image.astype(np.float32)
    if masks is not None:
        for i in order:
            colour = palette[labels[i]].astype(np.float32)
            shown[masks[i]] = shown[masks[i]] * (1.0 - opacity) + colour * opacity
    canvas = Image.fromarray(shown.round().astype(np.uint8))
    pen, size = ImageDraw.Draw(canvas), int(np.clip(min(image.shape[:2]) / 30, 10, 32))
    font, width = ImageFont.load_default(size), max(1, size // 8)
    for i in order:
        colour = tuple(palette[labels[i]].tolist())
        x1, y1, x2, y2 = (float(value) for value in boxes[i])
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=width)
        text = f'{classes[labels[i]]} {scores[i]:.2f}'
        draw_name(pen, (x1, max(0.0, y1 - size - 2)), text, font, colour)
    return np.asarray(canvas)


def draw_name(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, font: Any, colour: Color
) -> None:
    """Draw a text on a ground of the colour, in black or white, whichever is readable."""
    pen.rectangle(pen.textbbox(place, text, font=font), fill=colour)
    pen.text(place, text, fill='black' if sum(colour) > 380 else 'white', font=font)
