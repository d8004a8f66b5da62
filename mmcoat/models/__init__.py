"""The models; importing this package registers them."""

from .arch import ARCH_ZOO
from .coat import CoaT

__all__ = ['ARCH_ZOO', 'CoaT']
