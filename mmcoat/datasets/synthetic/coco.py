"""Writes a synthetic data set in the layout of COCO 2017, as MMDetection reads it."""

import json
from pathlib import Path

import cv2
import numpy as np

from ._files import (
    GENERATOR_VERSION,
    Progress,
    check_request,
    prepare_folder,
    scene_rng,
    write_info,
    write_jpeg,
    write_readme,
)
from .canvas import Scene
from .scenes import OBJECT_CLASSES, object_scene
from .vocabulary import coco_categories

# An object of which fewer pixels are seen is not annotated, and a stray piece of fewer pixels
# than `_MIN_PIECE` is left out of its mask: nobody would have drawn it.
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
) -> dict[str, object]:
    """Writes a synthetic data set in the layout of COCO 2017.

    Masks are exact: rasterised by pycocotools, the polygons give back the pixels drawn, and
    `area` and `bbox` are measured on them.

    Args:
        root: Folder to write; new, empty, or with `overwrite` an earlier synthetic data set.
        train: Number of training images.
        val: Number of validation images.
        size: Width and height in pixels.
        seed: Seed.
        overwrite: Whether to replace a synthetic data set.
        progress: Called after each image with the number done and the number wanted.
        max_objects: The most objects in a scene, crowd apart.
        object_scale: Factor on the objects' heights; for pictures so small that the objects of
            the usual size would be lost.

    Returns:
        What `dataset_info.json` holds.

    Raises:
        ValueError: Where an argument is out of range or the folder is in use.
    """
    check_request(train, val, size, seed)
    root = Path(root)
    prepare_folder(root, 'coco', overwrite)
    info = {
        'synthetic': 'coco',
        'complete': False,
        'seed': seed,
        'size': list(size),
        'train': train,
        'val': val,
        'classes': list(OBJECT_CLASSES),
        'max_objects': max_objects,
        'object_scale': object_scale,
    }
    write_info(root, info)
    (root / 'annotations').mkdir()
    info['objects'] = {}
    for split, count, done in (('train', train, 0), ('val', val, train)):
        (root / f'{split}2017').mkdir()
        content = _empty_annotation_file(split, seed)
        for index in range(count):
            rng = scene_rng(seed, split, index)
            scene = object_scene(rng, *size, max_objects, object_scale)
            _add_scene(root, content, split, index, scene)
            if progress is not None:
                progress(done + index + 1, train + val)
        path = root / 'annotations' / f'instances_{split}2017.json'
        path.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')
        info['objects'][split] = _count_objects(content)
    info['complete'] = True
    write_readme(root, 'Synthetic objects in the layout of COCO 2017', info)
    write_info(root, info)
    return info


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Traces a mask along the edges of its pixels.

    Args:
        mask: (H, W) bool.

    Returns:
        Polygons as COCO holds them, [x0, y0, x1, y1, ...]. Filled, they cover the mask exactly. A
        piece with a hole, which COCO's polygons cannot say, is cut in two along the hole.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    mask = mask[top : top + height, left : left + width]
    # Enlarged three times, a pixel's outline runs through the first and the last of its rows and
    # columns, which round to the pixel's two edges: cv2 alone would trace the pixels' centres.
    large = mask.astype(np.uint8).repeat(3, 0).repeat(3, 1)
    contours, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons = []
    for contour, (_, _, hole, parent) in zip(contours, tree[0] if contours else (), strict=True):
        if parent >= 0:  # the edge of a hole, dealt with where its outline is
            continue
        if hole < 0:
            corners = _corners((contour[:, 0] + 1) // 3) + (left, top)
            polygons.append(corners.ravel().astype(float).tolist())
            continue
        piece = np.zeros_like(large)
        cv2.drawContours(piece, [contour], 0, 1, cv2.FILLED)
        piece = (piece[1::3, 1::3] > 0) & mask
        cut = int(contours[hole][:, 0, 0].mean()) // 3
        for half in (slice(None, cut), slice(cut, None)):
            part = np.zeros((top + height, left + width), bool)
            part[top:, left:][:, half] = piece[:, half]
            polygons += mask_to_polygons(part)
    return polygons


def mask_to_rle(mask: np.ndarray) -> dict[str, list[int]]:
    """Returns a mask as COCO's uncompressed run lengths, the form of its crowd regions.

    Args:
        mask: (H, W) bool.

    Returns:
        `size` [H, W] and `counts`: lengths of runs down the columns, background first.
    """
    flat = np.concatenate([[False], mask.ravel(order='F')])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return {'size': list(mask.shape), 'counts': counts.tolist()}


def _corners(points: np.ndarray) -> np.ndarray:
    """Keeps the corners of a closed (N, 2) outline."""
    points = points[np.any(points != np.roll(points, 1, 0), 1)]
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return points[turns]


def _drop_crumbs(mask: np.ndarray) -> np.ndarray:
    """Removes pieces too small to have been drawn by an annotator."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= _MIN_PIECE
    keep[0] = False
    return keep[pieces]


def _empty_annotation_file(split: str, seed: int) -> dict[str, object]:
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
        'categories': coco_categories(),
    }


def _add_scene(
    root: Path,
    content: dict[str, list],
    split: str,
    index: int,
    scene: Scene,
) -> None:
    """Writes one image and appends what it shows to the annotation file's content."""
    height, width = scene.image.shape[:2]
    # Validation images are numbered on from a million, so that no id means two images.
    image_id = index + 1 + (1_000_000 if split == 'val' else 0)
    file_name = f'{image_id:012d}.jpg'
    write_jpeg(root / f'{split}2017' / file_name, scene.image)
    content['images'].append(
        {
            'id': image_id,
            'file_name': file_name,
            'width': width,
            'height': height,
            'license': 1,
        }
    )
    numbers = {entry['name']: entry['id'] for entry in content['categories']}
    for region, mask in zip(scene.regions, scene.visible_masks(), strict=True):
        mask = _drop_crumbs(mask)
        if region.name in OBJECT_CLASSES and mask.sum() >= _MIN_AREA:
            annotation = _annotation(mask, numbers[region.name], region.crowd)
            annotation['id'] = len(content['annotations']) + 1
            annotation['image_id'] = image_id
            content['annotations'].append(annotation)


def _annotation(mask: np.ndarray, category: int, crowd: bool) -> dict[str, object]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    width, height = int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
    return {
        'category_id': category,
        'iscrowd': int(crowd),
        'area': float(mask.sum()),
        'bbox': [float(x), float(y), float(width), float(height)],
        'segmentation': mask_to_rle(mask) if crowd else mask_to_polygons(mask),
    }


def _count_objects(content: dict[str, list]) -> dict[str, int]:
    names = {entry['id']: entry['name'] for entry in content['categories']}
    counts = dict.fromkeys(OBJECT_CLASSES, 0)
    for annotation in content['annotations']:
        counts[names[annotation['category_id']]] += not annotation['iscrowd']
    counts['crowd'] = sum(annotation['iscrowd'] for annotation in content['annotations'])
    return counts
