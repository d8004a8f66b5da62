"""Losses of ours; plain PyTorch, no toolbox needed."""

from .mask_loss import MaskLoss

__all__ = ['MaskLoss']
