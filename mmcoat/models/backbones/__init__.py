"""The backbone and what it is made of."""

from .coat import CoaT

__all__ = ['CoaT']
