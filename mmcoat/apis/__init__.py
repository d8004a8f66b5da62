"""Inference: from a config and a checkpoint to results for images, folders and arrays."""

from .inferencer import Inferencer
from .results import ClassificationResult, DetectionResult, SegmentationResult
from .tiles import TilePlan, segment_tiles

__all__ = [
    'ClassificationResult',
    'DetectionResult',
    'Inferencer',
    'SegmentationResult',
    'TilePlan',
    'segment_tiles',
]
