"""Gradient of the filters and biases of a depthwise convolution, each channel with its own window.

Every program sums over some rows of the maps, and its result is one row of a small table. The sum over the
table's rows is the gradient. There are no atomics, so the same input gives the same bits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import tuning
from .kernels.window_grad import window_grad_kernel
from .launching import launch, wrap_triton
from .pack_filters import pack_bytes


def window_grad(
    source: Tensor,
    grad: Tensor,
    factor: Tensor | None,
    windows: Sequence[int],
    heads: Sequence[int],
    head_width: int,
) -> Tensor:
    """Gradient of all filters, then all biases, concatenated.

    Args:
        source: Input of the convolution, (B, H, W, C); tokens may be further apart than C.
        grad: Gradient of the result, the same shape.
        factor: Factor that ``grad`` is multiplied with first, the same shape.
        windows: Windows of the groups of heads.
        heads: Numbers of heads of the groups.
        head_width: Channels of a head.

    Returns:
        (sum of Cw * K * K, plus C) in float32.
    """
    batch, height, width, channels = source.shape
    groups = list(zip(windows, heads, strict=True))
    bias = sum(count * head_width * size * size for size, count in groups)
    block = tuning.grad_channels(channels)
    blocks = tuning.cdiv(channels, block)
    programs = tuning.grad_programs(batch * height, blocks)
    table = source.new_empty((programs, bias + channels), dtype=torch.float32)
    launch(
        wrap_triton(window_grad_kernel),
        programs * blocks,
        source,
        grad,
        factor,
        table,
        bias + channels,
        bias,
        programs,
        batch * height,
        height,
        width,
        source_stride=source.stride(2),
        grad_stride=grad.stride(2),
        factor_stride=grad.stride(2) if factor is None else factor.stride(2),
        count=channels,
        head_width=head_width,
        windows=pack_bytes(windows),
        heads=pack_bytes(heads),
        groups=len(groups),
        elements=tuning.GRAD_ELEMENTS,
        block_c=block,
        num_warps=8,
    )
    return table.sum(0)
