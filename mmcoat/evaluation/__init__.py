"""Metrics; those based on MMSegmentation's exist only if it is installed."""

from importlib.util import find_spec

from .threshold_search import ThresholdSearch

__all__ = ['ThresholdSearch']
if find_spec('mmseg') is not None:
    from .boundary_f1 import BoundaryF1
    from .present_class_iou import PresentClassIoU

    __all__ += ['BoundaryF1', 'PresentClassIoU']
