"""Synthetic data sets: drawn scenes in the layouts of ADE20K, COCO and other segmentation sets.

They serve to try training and testing where the real ones are not at hand. This package needs
numpy and OpenCV only, neither torch nor any OpenMMLab package.
"""

from .ade20k import colour_baseline_miou, make_ade20k
from .coco import make_coco, mask_to_polygons, mask_to_rle
from .layouts import LAYOUTS, make_layout
from .preview import preview_ade20k, preview_coco
from .scenes import OBJECT_CLASSES, STREET_CLASSES, object_scene, street_scene
from .vocabulary import ADE20K_CLASSES, COCO_CLASSES, ade20k_value, coco_categories

__all__ = [
    'ADE20K_CLASSES',
    'COCO_CLASSES',
    'LAYOUTS',
    'OBJECT_CLASSES',
    'STREET_CLASSES',
    'ade20k_value',
    'coco_categories',
    'colour_baseline_miou',
    'make_ade20k',
    'make_coco',
    'make_layout',
    'mask_to_polygons',
    'mask_to_rle',
    'object_scene',
    'preview_ade20k',
    'preview_coco',
    'street_scene',
]
