"""Metrics; the package stays empty where MMSegmentation is not installed."""

from importlib.util import find_spec

__all__ = []
if find_spec('mmseg') is not None:
    from .present_class_iou import PresentClassIoU

    __all__ += ['PresentClassIoU']
