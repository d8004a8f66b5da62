"""Write a drawn data set in the layout of COCO 2017, as MMDetection reads it."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmcoat.errors import UsageError

from .masks import mask_to_polygons, mask_to_rle
from .scenes import OBJECT_CLASSES, object_scene
from .vocabulary import coco_categories
from .writing import GENERATOR_VERSION, MAX_IMAGES, Progress, draw_set, write_jpeg

# An object with fewer visible pixels is not annotated, and a separate piece with fewer pixels than
# `_MIN_PIECE` is left out of its mask: no annotator would have drawn it.
_MIN_AREA = 24
_MIN_PIECE = 6


def make_coco(
    root: str | Path,
    train: int = 200,
    val: int = 40,
    size: tuple[int, int] = (256, 192),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    max_objects: int = 5,
    object_scale: float = 1.0,
) -> dict[str, Any]:
    """Write a drawn data set in the layout of COCO 2017; the other arguments are those of ``draw_set``.

    Masks are exact: if pycocotools rasterises the polygons, the result is the drawn pixels. ``area`` and
    ``bbox`` are measured on these pixels.

    Args:
        max_objects: Maximal number of objects in a scene, without the crowd.
        object_scale: Factor on the objects' heights, for small pictures in which objects of the usual size
            would be too small.
    """
    if max_objects < 1:
        raise UsageError(f'max_objects must be 1 or more, got {max_objects}')
    if object_scale <= 0:
        raise UsageError(f'object_scale must be above 0, got {object_scale}')
    layout = _Coco(seed, max_objects, object_scale)
    return draw_set(layout, root, train, val, size, seed, overwrite, progress)


class _Coco:
    """Scenes of objects, and one annotation file per split."""

    name, title = 'coco', 'Synthetic objects in the layout of COCO 2017'
    classes = OBJECT_CLASSES

    def __init__(self, seed: int, max_objects: int, object_scale: float) -> None:
        self.settings = {'max_objects': max_objects, 'object_scale': object_scale}
        categories = coco_categories()
        self.ids = {entry['name']: entry['id'] for entry in categories}
        self.contents = {split: _empty(split, seed, categories) for split in ('train', 'val')}

    def files(self, split: str, count: int) -> list[str]:
        images = [f'{split}2017/{_image_id(split, index):012d}.jpg' for index in range(count)]
        return [*images, _annotation_file(split)]

    def draw(
        self, root: Path, split: str, index: int, rng: np.random.Generator, size: tuple[int, int]
    ) -> None:
        scene = object_scene(rng, *size, **self.settings)
        image_id = _image_id(split, index)
        entry = {'id': image_id, 'file_name': f'{image_id:012d}.jpg'}
        entry |= {'width': size[0], 'height': size[1], 'license': 1}
        write_jpeg(root / f'{split}2017' / entry['file_name'], scene.image)
        content = self.contents[split]
        content['images'].append(entry)
        for region, mask in zip(scene.regions, scene.visible_masks(), strict=True):
            mask = _drop_crumbs(mask)
            if region.name in OBJECT_CLASSES and mask.sum() >= _MIN_AREA:
                annotation = _annotation(mask, self.ids[region.name], region.crowd)
                annotation['id'] = len(content['annotations']) + 1
                annotation['image_id'] = image_id
                content['annotations'].append(annotation)

    def finish(self, root: Path) -> dict[str, Any]:
        for split, content in self.contents.items():
            text = json.dumps(content, separators=(',', ':'))
            (root / _annotation_file(split)).write_text(text, encoding='utf-8')
        return {'objects': {split: self._count(split) for split in self.contents}}

    def _count(self, split: str) -> dict[str, int]:
        """Return the number of objects of each class, and the number of crowds."""
        annotations = self.contents[split]['annotations']
        single = [entry['category_id'] for entry in annotations if not entry['iscrowd']]
        counts = {name: single.count(self.ids[name]) for name in OBJECT_CLASSES}
        return {**counts, 'crowd': len(annotations) - len(single)}


def _image_id(split: str, index: int) -> int:
    """Return an image's number; validation numbers begin after those of the largest possible training set."""
    return index + 1 + (MAX_IMAGES if split == 'val' else 0)


def _annotation_file(split: str) -> str:
    return f'annotations/instances_{split}2017.json'


def _empty(split: str, seed: int, categories: list[dict[str, object]]) -> dict[str, Any]:
    return {
        'info': {
            'description': f'Synthetic objects in the layout of COCO 2017, {split} split',
            'version': GENERATOR_VERSION,
            'seed': seed,
            'contributor': 'mmcoat',
        },
        'licenses': [{'id': 1, 'name': 'Generated, no rights reserved', 'url': ''}],
        'images': [],
        'annotations': [],
        'categories': categories,
    }


def _drop_crumbs(mask: np.ndarray) -> np.ndarray:
    """Remove pieces too small to have been drawn by an annotator."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= _MIN_PIECE
    keep[0] = False
    return keep[pieces]


def _annotation(mask: np.ndarray, category: int, crowd: bool) -> dict[str, Any]:
    x, y, width, height = (float(value) for value in cv2.boundingRect(mask.astype(np.uint8)))
    return {
        'category_id': category,
        'iscrowd': int(crowd),
        'area': float(mask.sum()),
        'bbox': [x, y, width, height],
        'segmentation': mask_to_rle(mask) if crowd else mask_to_polygons(mask),
    }
