"""Synthetic data sets: drawn scenes in the layouts of ADE20K, COCO and other segmentation sets.

They are for trials of training and testing without the real data. Drawing needs numpy and OpenCV. The class
lists come from MMSegmentation or MMDetection, which are imported when a set is drawn.
"""

from .ade20k import colour_baseline_miou, make_ade20k
from .coco import make_coco
from .folder import MANIFEST, FolderInUseError
from .layouts import LAYOUTS, make_layout
from .masks import mask_to_polygons, mask_to_rle
from .preview import preview_ade20k, preview_coco
from .scenes import OBJECT_CLASSES, STREET_CLASSES, object_scene, street_scene
from .vocabulary import ade20k_classes, ade20k_value, coco_categories, coco_classes

__all__ = [
    'LAYOUTS',
    'MANIFEST',
    'OBJECT_CLASSES',
    'STREET_CLASSES',
    'FolderInUseError',
    'ade20k_classes',
    'ade20k_value',
    'coco_categories',
    'coco_classes',
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
