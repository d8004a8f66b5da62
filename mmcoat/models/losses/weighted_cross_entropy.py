"""Cross entropy with a weight for each class."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcoat.registry import MODELS


@MODELS.register_module()
class WeightedCrossEntropy(nn.Module):
    """Cross entropy for MMSegmentation's heads: the weighted mean over pixels, with a weight for each class.

    NOTE: upstream MMSegmentation's own loss looks up the class weight of every label, also of the ignored
    label 255, which has no class weight.

    Args:
        class_weight: One number for each class; None gives all classes the same weight.
        loss_weight: Factor on the loss.
        loss_name: Name in the log; losses whose names begin with ``loss`` are added to the total loss.
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
        """Return the mean over the labelled pixels, 0 if there are none.

        Args:
            logits: (B, classes, H, W).
            labels: (B, H, W) of classes or ``ignore_index``.
            weight: (B, H, W) of a pixel sampler, or None.
            ignore_index: Label of ignored pixels.
            **unused: Arguments of MMSegmentation's other losses.
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
