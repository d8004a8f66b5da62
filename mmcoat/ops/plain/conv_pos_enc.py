"""The convolutional position encoding, with the residual inside the filter if that is exact."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import reference
from ..common import compute_dtype


def conv_pos_enc(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x + depthwise_conv(x)``, (B, H, W, C) -> (B, H, W, C); see ``reference.conv_pos_enc``.

    In float32 on a CPU the residual is added as 1 to the centre tap, which saves a pass over the map, forward
    and backward. In bfloat16 adding 1 would round away the filter's own digits.
    """
    exact = x.dtype in (torch.float32, torch.float64) and compute_dtype(x) == x.dtype
    if x.device.type != 'cpu' or not exact or torch.compiler.is_compiling():
        return reference.conv_pos_enc(x, weight, bias)
    channels, _, window, _ = weight.shape
    centre = torch.zeros(window, window, dtype=weight.dtype)
    centre[window // 2, window // 2] = 1.0
    # (B, H, W, C) -> (B, C, H, W), a view
    out = F.conv2d(
        x.permute(0, 3, 1, 2), weight + centre, bias, padding=window // 2, groups=channels
    )
    # (B, C, H, W) -> (B, H, W, C)
    return out.permute(0, 2, 3, 1)
