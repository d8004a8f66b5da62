"""Cross entropy with a weight for each class."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcoat.registry import MODELS


@MODELS.register_module()
class WeightedCrossEntropy(nn.Module):
    """Cross entropy of MMSegmentation's heads, averaged with the weights of the pixels' classes.

    NOTE: upstream MMSegmentation's own looks up the weight of every pixel's label one by one, and 255, the
    ignored label, is none.

    Args:
        class_weight: One number for each class; None: all count the same.
        loss_weight: Factor on the loss.
        loss_name: Its name in the log; names that begin with ``loss`` are summed up.
    """

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ):
        super().__init__()
        self.class_weight = None if class_weight is None else list(class_weight)
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **unused: Any,
    ) -> Tensor:
        """Return the mean over the labelled pixels, 0 where there is none.

        Args:
            logits: (B, classes, H, W).
            labels: (B, H, W) of classes or ``ignore_index``.
            weight: (B, H, W) of a pixel sampler, or None.
            ignore_index: Label of pixels that do not count.
            **unused: What other losses of MMSegmentation take.
        """
        counts = labels != ignore_index
        pixels = counts.to(logits.dtype)
        if self.class_weight is not None:
            weights = logits.new_tensor(self.class_weight)
            pixels = pixels * weights[torch.where(counts, labels, 0)]
        losses = F.cross_entropy(logits, labels, reduction='none', ignore_index=ignore_index)
        total = pixels.sum().clamp(min=torch.finfo(logits.dtype).tiny)
        if weight is not None:
            losses = losses * weight
        return self.loss_weight * (losses * pixels).sum() / total
