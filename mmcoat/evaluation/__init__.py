"""Metrics; those that build on MMSegmentation's are there where it is installed."""

from importlib.util import find_spec

from .threshold_search import ThresholdSearch

__all__ = ['ThresholdSearch']
if find_spec('mmseg') is not None:
    from .present_class_iou import PresentClassIoU

    __all__ += ['PresentClassIoU']
