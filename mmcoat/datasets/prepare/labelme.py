"""Convert labelme's JSON files to label maps: polygons, rectangles and circles."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .common import IGNORED, PrepareError, Sample, files_by_name, read_json
from .polygons import polygon_mask

BACKGROUND = ('background', '_background_')
IGNORE = '__ignore__'
AREAS = ('polygon', 'rectangle', 'circle')


def labelme(
    folder: Path, classes: Sequence[str] | None = None
) -> tuple[list[Sample], tuple[str, ...]]:
    """Return the samples of a folder of labelme's files, and the classes.

    Pixels outside all shapes get the class ``background`` if it is among the classes, else no class.

    Args:
        folder: Folder with one JSON file per image.
        classes: Names; None: ``background`` and every label that occurs.

    Raises:
        PrepareError: One line with the file.
    """
    files = files_by_name(folder, ('.json',))
    contents = {name: _content(path) for name, path in files.items()}
    if classes is None:
        labels = {shape['label'] for content in contents.values() for shape in content['shapes']}
        classes = ('background', *sorted(labels - {*BACKGROUND, IGNORE}))
    samples = []
    for name, path in files.items():
        image = path.parent / str(contents[name]['imagePath']).replace('\\', '/')
        if not image.is_file():
            raise PrepareError(f'{image} does not exist, but {path} names it')
        places = {label: index for index, label in enumerate(classes)}
        draw = partial(_draw, path, contents[name], places)
        samples.append(Sample(name, image, draw))
    return samples, tuple(classes)


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    try:
        size = int(content['imageHeight']), int(content['imageWidth'])
        shapes = [
            dict(
                label=str(shape['label']),
                kind=shape.get('shape_type') or 'polygon',
                points=np.asarray(shape['points'], np.float64).reshape(-1, 2),
            )
            for shape in content['shapes']
        ]
        return dict(imagePath=content['imagePath'], size=size, shapes=shapes)
    except (KeyError, TypeError, ValueError) as error:
        raise PrepareError(
            f'{path} is not one of labelme: {type(error).__name__}: {error}'
        ) from None


def _draw(path: Path, content: dict[str, Any], places: dict[str, int]) -> np.ndarray:
    background = next((places[name] for name in BACKGROUND if name in places), IGNORED)
    labels = np.full(content['size'], background, np.uint8)
    for shape in content['shapes']:
        label = shape['label']
        if label != IGNORE and label not in places:
            raise PrepareError(f'{path} has the label {label!r}, which is not among the classes')
        if shape['kind'] not in AREAS:
            continue  # lines and points cover nothing
        value = places.get(label, IGNORED)
        _fill(labels, shape['kind'], shape['points'], value)
    return labels


def _fill(labels: np.ndarray, kind: str, points: np.ndarray, value: int) -> None:
    """Fill the pixels whose centres lie in a shape; the image's upper left corner is (0, 0)."""
    if kind == 'rectangle' and len(points) >= 2:
        first, last = np.round([points.min(0), points.max(0)]).astype(int)
        labels[max(first[1], 0) : max(last[1], 0), max(first[0], 0) : max(last[0], 0)] = value
    elif kind == 'circle' and len(points) == 2:
        rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
        (x, y), radius = points[0], np.linalg.norm(points[1] - points[0])
        labels[(columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2] = value
    elif len(points) >= 3:
        labels[polygon_mask(points, labels.shape)] = value
