"""Convert common layouts of data sets (pairs of folders, VOC, labelme, COCO) to those of the configs."""

from .coco import coco_masks, write_detection
from .common import PrepareError, Progress, Request, Sample, Summary
from .config_file import write_config
from .labelme import labelme
from .pairs import pairs
from .segmentation import write_segmentation
from .voc import VOC_CLASSES, voc

__all__ = [
    'VOC_CLASSES',
    'PrepareError',
    'Progress',
    'Request',
    'Sample',
    'Summary',
    'coco_masks',
    'labelme',
    'pairs',
    'voc',
    'write_config',
    'write_detection',
    'write_segmentation',
]
