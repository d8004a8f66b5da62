"""The exchange between the scales of a parallel block (paper section 3.4, feature interpolation)."""

import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, H, W, C) to ``size``, corners not aligned."""
    if x.shape[1:3] == size:
        return x
    # (B, H, W, C) -> (B, C, H, W) -> (B, h, w, C)
    out = F.interpolate(x.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=False)
    return out.permute(0, 2, 3, 1)


def scale_exchange(maps: list[Tensor]) -> list[Tensor]:
    """Give each scale the sum of all scales, each resized to it.

    Args:
        maps: One (B, Hi, Wi, C) per scale; sizes may differ, channels may not.

    Returns:
        One (B, Hi, Wi, C) per scale, in the same order.
    """
    sums = []
    for own, target in enumerate(maps):
        size = target.shape[1:3]
        total = target
        for other, source in enumerate(maps):
            if other != own:
                total = total + resize(source, size)
        sums.append(total)
    return sums
