"""Convolutional position encoding: a depthwise convolution added to its input (paper section 3.2)."""

import torch.nn.functional as F
from torch import Tensor


def conv_pos_enc(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x + depthwise_conv(x)``.

    Args:
        x: Image tokens, (B, H, W, C).
        weight: Depthwise filters, (C, 1, K, K) with odd K.
        bias: (C,).

    Returns:
        (B, H, W, C).
    """
    channels, _, window, _ = weight.shape
    # (B, H, W, C) -> (B, C, H, W), a view
    feature = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=window // 2, groups=channels)
    # (B, C, H, W) -> (B, H, W, C)
    return x + feature.permute(0, 2, 3, 1)
