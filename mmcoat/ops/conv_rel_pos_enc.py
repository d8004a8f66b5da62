"""Convolutional relative position encoding: Q times a depthwise convolution of V (paper section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def conv_rel_pos_enc(q: Tensor, v: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """Return ``q * depthwise_conv(v)``; each group of heads has a window of its own.

    Args:
        q: Queries of the image tokens, (B, H, W, C), heads one after another in C.
        v: Values of the image tokens, (B, H, W, C).
        weights: One (Cw, 1, K, K) filter bank per window; the Cw add up to C.
        biases: One (Cw,) per window.

    Returns:
        (B, H, W, C).
    """
    v_map = v.permute(0, 3, 1, 2)  # (B, H, W, C) -> (B, C, H, W), a view
    groups = v_map.split([weight.shape[0] for weight in weights], dim=1)
    encoded = [
        F.conv2d(group, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])
        for group, weight, bias in zip(groups, weights, biases, strict=True)
    ]
    # (B, C, H, W) -> (B, H, W, C)
    return q * torch.cat(encoded, dim=1).permute(0, 2, 3, 1)
