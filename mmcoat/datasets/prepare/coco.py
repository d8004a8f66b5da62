"""Convert COCO's instance annotations to label maps, or split them for detection."""

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmcoat.datasets.images import read_channels
from mmcoat.datasets.palette import distinct_colours

from .common import IGNORED, PrepareError, Request, Sample, Summary, assign_splits, read_json
from .polygons import polygon_mask
from .writing import Writer

BACKGROUND = 'background'
KEYS = ('images', 'annotations', 'categories')


def coco_masks(
    file: Path, images: Path, classes: Sequence[str] | None = None
) -> tuple[list[Sample], tuple[str, ...]]:
    """Return the images of an annotation file, each with its instances drawn into one label map.

    Smaller instances are drawn over larger ones. Pixels without an instance are ``background``, the first
    class, or no class if ``classes`` does not name it. Crowds, and categories that are not among the classes,
    are no class.

    Args:
        file: Annotations in COCO's format.
        images: Folder of the images.
        classes: Names; None: ``background`` and all categories.

    Raises:
        PrepareError: One line with the file.
    """
    content, by_image = _load(file, images)
    names = {entry['id']: entry['name'] for entry in content['categories']}
    chosen = tuple(classes or (BACKGROUND, *names.values()))
    _check_names(file, chosen, names)
    places = {key: chosen.index(name) if name in chosen else IGNORED for key, name in names.items()}
    samples = []
    for image in content['images']:
        draw = partial(_draw, file, image, by_image[image['id']], places, chosen)
        name = str(Path(image['file_name']).with_suffix(''))
        samples.append(Sample(name, images / image['file_name'], draw))
    return samples, chosen


def write_detection(
    file: Path, images: Path, classes: Sequence[str] | None, request: Request
) -> Summary:
    """Split an annotation file by images, and write it in the layout that own_coco.py reads.

    Args:
        file: Annotations in COCO's format.
        images: Folder of the images.
        classes: Names of categories; None: all categories that have annotations.
        request: Where to write, and how.

    Raises:
        PrepareError, ImageError: One line with the file; nothing is written.
    """
    content, by_image = _load(file, images)
    names = {entry['id']: entry['name'] for entry in content['categories']}
    used = {a['category_id'] for a in content['annotations']}
    chosen = tuple(classes or (name for key, name in names.items() if key in used))
    _check_names(file, chosen, names, background=False)
    splits = assign_splits([i['file_name'] for i in content['images']], request.val, request.seed)
    sums = [0, 0.0, 0.0]
    with Writer(request.out, request.overwrite) as writer:
        for done, image in enumerate(content['images'], 1):
            source, split = images / image['file_name'], splits[image['file_name']]
            pixels = read_channels(source, request.channels or 3)
            _check_size(source, image, pixels.shape)
            if split == 'train':
                values = pixels.reshape(-1, pixels.shape[2]).astype(np.float64)
                sums = [
                    sums[0] + len(values),
                    sums[1] + values.sum(0),
                    sums[2] + (values**2).sum(0),
                ]
            writer.copy(source, f'{split}/{image["file_name"]}', request.link)
            request.progress('writing', done, len(content['images']))
        for split in ('train', 'val'):
            part = _part(content, [i for i in content['images'] if splits[i['file_name']] == split])
            path = writer.place(f'annotations/{split}.json')
            path.write_text(json.dumps(part, separators=(',', ':')), encoding='utf-8')
    mean = sums[1] / sums[0]
    std = np.sqrt(np.maximum(sums[2] / sums[0] - mean**2, 1e-6))
    facts = dict(mean=np.round(mean, 3).tolist(), std=np.round(std, 3).tolist())
    counts = {split: list(splits.values()).count(split) for split in ('train', 'val')}
    empty = sum(not by_image[image['id']] for image in content['images'])
    notes = [f'{empty} images have no objects: training leaves them out'] if empty else []
    return Summary(chosen, distinct_colours(len(chosen)), counts, facts, notes)


def _load(file: Path, images: Path) -> tuple[dict[str, list], dict[int, list]]:
    """Read an annotation file, and check that everything it refers to exists."""
    content = read_json(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in KEYS):
        raise PrepareError(
            f"{file} is not an annotation file in COCO's format: it needs {', '.join(KEYS)}"
        )
    by_image: dict[int, list] = defaultdict(list)
    try:
        sizes = {entry['id']: (entry['height'], entry['width']) for entry in content['images']}
        categories = {entry['id']: entry['name'] for entry in content['categories']}
        for annotation in content['annotations']:
            where = f'{file}: annotation {annotation["id"]}'
            if annotation['image_id'] not in sizes:
                raise PrepareError(
                    f'{where} is of image {annotation["image_id"]}, which is not there'
                )
            if annotation['category_id'] not in categories:
                raise PrepareError(
                    f'{where} is of category {annotation["category_id"]}, which is not there'
                )
            by_image[annotation['image_id']].append(annotation)
        lacking = [
            i['file_name'] for i in content['images'] if not (images / i['file_name']).is_file()
        ]
    except (KeyError, TypeError) as error:
        raise PrepareError(f'{file}: an entry lacks {error}') from None
    if lacking:
        raise PrepareError(
            f'{len(lacking)} images of {file} are not in {images}, the first is {lacking[0]}'
        )
    return content, by_image


def _check_names(
    file: Path, classes: Sequence[str], names: dict[int, str], background: bool = True
) -> None:
    known = {*names.values(), *([BACKGROUND] if background else [])}
    lacking = [name for name in classes if name not in known]
    if lacking:
        raise PrepareError(
            f'{file} has no category {lacking[0]}; it has {", ".join(names.values())}'
        )


def _check_size(path: Path, image: dict[str, Any], shape: tuple[int, ...]) -> None:
    if shape[:2] != (image['height'], image['width']):
        raise PrepareError(
            f'{path} has {shape[1]} x {shape[0]} pixels, its annotations say '
            f'{image["width"]} x {image["height"]}'
        )


def _part(content: dict[str, list], images: list[dict]) -> dict[str, list]:
    ids = {image['id'] for image in images}
    annotations = [a for a in content['annotations'] if a['image_id'] in ids]
    return {**content, 'images': images, 'annotations': annotations}


def _draw(
    file: Path,
    image: dict[str, Any],
    annotations: list[dict],
    places: dict[int, int],
    classes: Sequence[str],
) -> np.ndarray:
    background = classes.index(BACKGROUND) if BACKGROUND in classes else IGNORED
    shape = (int(image['height']), int(image['width']))
    labels = np.full(shape, background, np.uint8)
    masks = [(_mask(file, annotation, shape), annotation) for annotation in annotations]
    for mask, annotation in sorted(masks, key=lambda pair: -int(pair[0].sum())):
        crowd = annotation.get('iscrowd')
        labels[mask] = IGNORED if crowd else places[annotation['category_id']]
    return labels


def _mask(file: Path, annotation: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """Return an annotation's pixels, (H, W) bool."""
    segmentation = annotation.get('segmentation')
    mask = np.zeros(shape, bool)
    try:
        if isinstance(segmentation, dict):
            return _run_lengths(segmentation, shape)
        for polygon in segmentation or ():
            mask |= polygon_mask(np.asarray(polygon, np.float64).reshape(-1, 2), shape)
    except (ValueError, TypeError, KeyError) as error:
        raise PrepareError(
            f'{file}: the mask of annotation {annotation.get("id")} cannot be read: {error}'
        ) from None
    return mask


def _run_lengths(rle: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    counts = rle['counts']
    if isinstance(counts, str | bytes):  # COCO's compressed form
        try:
            from pycocotools import mask
        except ImportError:
            raise ValueError('compressed run lengths need `pip install pycocotools`') from None
        return mask.decode(rle).astype(bool)
    values = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(values, counts)
    return flat.reshape(shape[1], shape[0]).T
