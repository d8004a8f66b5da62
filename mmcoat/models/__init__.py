"""The models; importing this package registers them."""

from .arch import ARCH_ZOO
from .coat import CoaT
from .detectors import build_deformable_detr

__all__ = ['ARCH_ZOO', 'CoaT', 'build_deformable_detr']
