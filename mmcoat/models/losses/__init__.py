"""mmcoat's losses; importing this package registers them."""

from .mask_loss import MaskLoss
from .weighted_cross_entropy import WeightedCrossEntropy

__all__ = ['MaskLoss', 'WeightedCrossEntropy']
