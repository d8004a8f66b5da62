"""Transforms of ours; importing this package registers them."""

from .loading import LoadChannels

__all__ = ['LoadChannels']
