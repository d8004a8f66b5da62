"""BCE + Dice + Lovasz loss for independent masks: binary and multi-label segmentation."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcoat.registry import MODELS

LABELS = ('index', 'bits', 'soft')
MOST_BITS = 8
SOFT_ONE = 254  # value in a soft label map that means probability 1


@MODELS.register_module()
class MaskLoss(nn.Module):
    """Sum of three losses on the sigmoid of each mask; pixels with ``ignore_index`` are ignored.

    Label maps have MMSegmentation's form, one integer per pixel, so every transform works on them:

    - ``'index'``: 0 is the background, i is the i-th mask; with one mask the values are 0 and 1.
    - ``'bits'``: a pixel of mask i has bit i set. Masks may overlap. At most 8 masks (7 if label 255 is
    ignored).
    - ``'soft'``: one mask, 0 to 254 for probabilities 0 to 1, such as the share of annotators who marked a
    pixel.

    Args:
        labels: Meaning of the numbers in a label map, one of the above.
        bce: Weight of the binary cross entropy; its targets may be soft.
        dice: Weight of 1 - Dice, over all pixels of the batch for each mask.
        lovasz: Weight of the Lovasz hinge (Berman et al., CVPR 2018); soft labels of at least 0.5 count as 1.
        ignore_index: Label of ignored pixels; the head's own ``ignore_index`` has priority.
        loss_name: Name in the log, ``loss_...``.

    Raises:
        ValueError: Unknown ``labels``, or weights that are negative or all zero.
    """

    def __init__(
        self,
        labels: str = 'index',
        bce: float = 1.0,
        dice: float = 1.0,
        lovasz: float = 0.0,
        ignore_index: int = 255,
        loss_name: str = 'loss_mask',
    ):
        super().__init__()
        if labels not in LABELS:
            raise ValueError(f'labels must be one of {LABELS}, got {labels!r}')
        if min(bce, dice, lovasz) < 0 or max(bce, dice, lovasz) == 0:
            raise ValueError(
                f'bce, dice and lovasz must be 0 or more, one of them above 0, got {bce}, {dice}, {lovasz}'
            )
        self.labels, self.ignore_index, self.loss_name = labels, ignore_index, loss_name
        self.weights = dict(bce=bce, dice=dice, lovasz=lovasz)

    def forward(
        self,
        scores: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        **unused: Any,
    ) -> Tensor:
        """Scores (B, C, H, W) before the sigmoid and labels (B, H, W) -> the loss, a scalar.

        Raises:
            ValueError: Label maps of this kind cannot hold that many masks, or pixel weights are given.
        """
        if weight is not None:
            raise ValueError('MaskLoss takes no weights of pixels: leave the sampler out')
        ignored = self.ignore_index if ignore_index is None else ignore_index
        valid = label != ignored
        targets = mask_targets(label, scores.shape[1], self.labels)
        # (B, C, H, W) -> (C, pixels that are not ignored)
        scores, targets = (x.float().transpose(0, 1)[:, valid] for x in (scores, targets))
        if scores.shape[1] == 0:
            return scores.sum()  # all pixels are ignored: return zero with a gradient
        losses = dict(
            bce=lambda: F.binary_cross_entropy_with_logits(scores, targets),
            dice=lambda: dice_loss(scores.sigmoid(), targets),
            lovasz=lambda: lovasz_hinge(scores, (targets >= 0.5).float()),
        )
        total = sum(losses[name]() * factor for name, factor in self.weights.items() if factor)
        return torch.as_tensor(total)


def mask_targets(label: Tensor, masks: int, kind: str) -> Tensor:
    """Labels (B, H, W) -> targets (B, masks, H, W) in [0, 1].

    Raises:
        ValueError: Label maps of this kind cannot hold that many masks.
    """
    if kind == 'soft':
        if masks != 1:
            raise ValueError(f"labels='soft' holds one mask, the head has {masks} channels")
        return (label.float() / SOFT_ONE).clamp(max=1)[:, None]
    numbers = torch.arange(masks, device=label.device).view(1, -1, 1, 1)
    if kind == 'bits':
        if masks > MOST_BITS:
            raise ValueError(f"labels='bits' holds up to {MOST_BITS} masks, the head has {masks}")
        return (label[:, None] >> numbers & 1).float()
    return (label[:, None] == numbers + 1).float()


def dice_loss(probabilities: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """(C, N) each -> mean of 1 - Dice over the masks; ``smooth`` keeps the value finite for empty masks."""
    common = (probabilities * targets).sum(1)
    total = probabilities.sum(1) + targets.sum(1)
    return (1 - (2 * common + smooth) / (total + smooth)).mean()


def lovasz_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    """(C, N) each, targets 0 or 1 -> Lovasz extension of 1 - IoU at the hinge errors, mean over the masks."""
    errors, order = (1 - scores * (2 * targets - 1)).sort(dim=1, descending=True)
    targets = targets.gather(1, order)
    inside = targets.sum(1, keepdim=True)
    common = inside - targets.cumsum(1)
    union = inside + (1 - targets).cumsum(1)
    jaccard = 1 - common / union  # for the n largest errors, n = 1...N
    steps = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], dim=1)
    return (F.relu(errors) * steps).sum(1).mean()
