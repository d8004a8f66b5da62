"""Losses; importing this package registers them."""

from .weighted_cross_entropy import WeightedCrossEntropy

__all__ = ['WeightedCrossEntropy']
