"""Contact sheets: pictures of a written data set beside their annotations."""

import colorsys
import itertools
import json
from pathlib import Path

import cv2
import numpy as np

from .ade20k import read_pairs
from .folder import add_file
from .vocabulary import ade20k_classes
from .writing import read_image, write_image

_GAP = 4
_STREET_COLOURS = {  # RGB, similar to the things' real colours: easier to read than the official palette
    'building': (180, 110, 110),
    'sky': (130, 205, 255),
    'tree': (0, 120, 0),
    'road': (95, 95, 95),
    'grass': (130, 220, 80),
    'sidewalk': (235, 205, 165),
    'person': (225, 20, 60),
    'earth': (150, 95, 45),
    'mountain': (150, 110, 200),
    'car': (255, 200, 0),
    'water': (20, 70, 210),
}


def preview_ade20k(root: str | Path, out: str | Path, count: int = 12, columns: int = 3) -> None:
    """Write a contact sheet of validation images, each beside its labels, over a legend.

    Args:
        root: A data set in the layout of ADE20K.
        out: Picture to write, .png or .jpg.
        count: Number of images.
        columns: Images beside each other.
    """
    names = ade20k_classes()
    table = np.zeros((256, 3), np.uint8)
    table[1 : len(names) + 1] = [_label_colour(name) for name in names]
    tiles, present = [], set()
    for image, labels in itertools.islice(read_pairs(Path(root), 'val'), count):
        present.update(np.unique(labels[labels > 0]).tolist())
        tiles.append(np.hstack([image, table[labels]]))
    sheet = _sheet(tiles, columns)
    legend = _legend([names[value - 1] for value in sorted(present)], sheet.shape[1])
    _write(Path(root), Path(out), np.vstack([sheet, legend]))


def preview_coco(root: str | Path, out: str | Path, count: int = 12, columns: int = 3) -> None:
    """Write a contact sheet of validation images, each beside its masks, boxes and names.

    Args:
        root: A data set in the layout of COCO 2017.
        out: Picture to write, .png or .jpg.
        count: Number of images.
        columns: Images beside each other.
    """
    root = Path(root)
    text = (root / 'annotations' / 'instances_val2017.json').read_text(encoding='utf-8')
    content = json.loads(text)
    names = {entry['id']: entry['name'] for entry in content['categories']}
    tiles = []
    for entry in content['images'][:count]:
        image = read_image(root / 'val2017' / entry['file_name'])
        drawn = image.copy()
        for annotation in content['annotations']:
            if annotation['image_id'] == entry['id']:
                _draw_annotation(drawn, annotation, names[annotation['category_id']])
        tiles.append(np.hstack([image, drawn]))
    _write(root, Path(out), _sheet(tiles, columns))


def _write(root: Path, out: Path, sheet: np.ndarray) -> None:
    """Write the sheet; in the set's own folder it is listed in the manifest, and deleted with the set."""
    add_file(root, out)
    write_image(out, sheet)


def _label_colour(name: str) -> tuple[int, ...]:
    return _STREET_COLOURS.get(name, (255, 0, 255))[::-1]


def _object_colour(category: int) -> tuple[int, ...]:
    """Return a strong BGR colour; hues advance by the golden ratio."""
    rgb = colorsys.hsv_to_rgb(0.618034 * category % 1, 0.9, 0.95)
    return tuple(round(255 * channel) for channel in rgb[::-1])


def _draw_annotation(image: np.ndarray, annotation: dict, name: str) -> None:
    colour = _object_colour(annotation['category_id'])
    shape = annotation['segmentation']
    mask = np.zeros(image.shape[:2], np.uint8)
    if isinstance(shape, dict):
        height, width = shape['size']
        runs = np.repeat(np.arange(len(shape['counts'])) % 2, shape['counts'])
        mask = runs.reshape(width, height).T
        name = f'{name} (crowd)'
    else:
        for polygon in shape:
            # The corners lie on pixel edges, half a pixel away from the pixel centres that cv2 uses.
            points = np.asarray(polygon).reshape(-1, 2) - 0.5
            cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    image[mask > 0] = 0.45 * image[mask > 0] + 0.55 * np.array(colour)
    x, y, width, height = (round(value) for value in annotation['bbox'])
    cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), colour, 1)
    for shade, thickness in (((0, 0, 0), 2), ((255, 255, 255), 1)):
        spot = (x + 2, max(y + 9, 9))
        cv2.putText(image, name, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.3, shade, thickness, cv2.LINE_AA)


def _sheet(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * (height + _GAP), index % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def _legend(names: list[str], width: int) -> np.ndarray:
    per_row = max(1, width // 100)
    rows = -(-len(names) // per_row)
    legend = np.full((rows * 20 + 4, width, 3), 255, np.uint8)
    for index, name in enumerate(names):
        x, y = index % per_row * 100 + 4, index // per_row * 20 + 5
        cv2.rectangle(legend, (x, y), (x + 12, y + 12), _label_colour(name), cv2.FILLED)
        spot = (x + 17, y + 10)
        cv2.putText(legend, name, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return legend
