"""Gradient of the filters and biases of a depthwise convolution, each channel with its own window.

Every program sums over some rows of the maps; its result is one row of a small table, and the sum over the
rows of the table is the gradient. No atomics: the same input gives the same bits.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import config
from .filters import pack_bytes
from .launching import launch, wrap_triton
from .windows import channel_windows


@triton.jit
def sum_rows(
    source,
    source_stride: tl.constexpr,
    grad,
    grad_stride: tl.constexpr,
    factor,
    factor_stride: tl.constexpr,
    table,
    bias,
    starts,
    sizes,
    channels,
    keep,
    program,
    programs,
    rows,
    height,
    width,
    size: tl.constexpr,
    elements: tl.constexpr,
    block_c: tl.constexpr,
):
    """Sum gradient x source over the rows of one program, for all taps of a window at once."""
    taps: tl.constexpr = triton.next_power_of_2(size * size + 1)  # one more tap for the bias
    block_n: tl.constexpr = elements // (taps * block_c)
    tap = tl.arange(0, taps)[:, None]
    sy = tap // size - size // 2
    sx = tap % size - size // 2
    # a channel with a window smaller than `size` has fewer taps
    reach = (sizes // 2)[None, :]
    is_tap = (sy <= reach) & (-sy <= reach) & (sx <= reach) & (-sx <= reach) & keep[None, :]
    is_bias = (tap == size * size) & keep[None, :]
    place = starts[None, :] + (sy + reach) * sizes[None, :] + sx + reach
    total = tl.zeros([taps, block_n, block_c], tl.float32)
    for row in range(program, rows, programs):
        y = row % height
        line = tl.cast(row, tl.int64) * width
        there_y = (tap < size * size) & (y + sy >= 0) & (y + sy < height)
        for first in range(0, width, block_n):
            x = first + tl.arange(0, block_n)
            there = (x < width)[:, None] & keep[None, :]
            token = x[:, None]
            value = tl.load(
                grad + line * grad_stride + token * grad_stride + channels[None, :], there, 0.0
            )
            value = value.to(tl.float32)
            if factor is not None:
                where = factor + line * factor_stride + token * factor_stride + channels[None, :]
                value = value * tl.load(where, there, 0.0).to(tl.float32)
            from_x = x[None, :, None] + sx[:, None, :]
            there = there_y[:, None, :] & (from_x >= 0) & (from_x < width) & keep[None, None, :]
            where = (sy[:, None, :] * width + from_x) * source_stride + channels[None, None, :]
            other = tl.load(source + line * source_stride + where, there, 0.0).to(tl.float32)
            other = tl.where(is_bias[:, None, :], 1.0, other)
            total += value[None, :, :] * other
    where = tl.where(is_bias, bias + channels[None, :], place)
    tl.store(table + where, tl.sum(total, 1), is_tap | is_bias)


@triton.jit
def window_grad_kernel(
    source,
    grad,
    factor,
    table,
    params,
    bias,
    programs,
    rows,
    height,
    width,
    source_stride: tl.constexpr,
    grad_stride: tl.constexpr,
    factor_stride: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    elements: tl.constexpr,
    block_c: tl.constexpr,
):
    """One block of channels and every ``programs``-th row of all maps -> one row of the table."""
    blocks: tl.constexpr = (count + block_c - 1) // block_c
    program = tl.program_id(0) // blocks
    channels = tl.program_id(0) % blocks * block_c + tl.arange(0, block_c)
    keep = channels < count
    sizes, starts = channel_windows(channels, head_width, windows, heads, groups)
    largest = tl.max(tl.where(keep, sizes, 0), 0)
    table += program.to(tl.int64) * params
    for group in tl.static_range(groups):
        if largest == (windows >> (8 * group)) & 255:
            sum_rows(
                source,
                source_stride,
                grad,
                grad_stride,
                factor,
                factor_stride,
                table,
                bias,
                starts,
                sizes,
                channels,
                keep,
                program,
                programs,
                rows,
                height,
                width,
                (windows >> (8 * group)) & 255,
                elements,
                block_c,
            )


def window_grad(
    source: Tensor,
    grad: Tensor,
    factor: Tensor | None,
    windows: Sequence[int],
    heads: Sequence[int],
    head_width: int,
) -> Tensor:
    """Gradient of all filters, then all biases, laid one after another.

    Args:
        source: What was convolved, (B, H, W, C); tokens may be further apart than C.
        grad: Gradient of the result, likewise.
        factor: What ``grad`` is multiplied with first, likewise.
        windows: Windows of the groups of heads.
        heads: Numbers of heads of the groups.
        head_width: Channels of a head.

    Returns:
        (sum of Cw * K * K, plus C) in float32.
    """
    batch, height, width, channels = source.shape
    groups = list(zip(windows, heads, strict=True))
    bias = sum(count * head_width * size * size for size, count in groups)
    block = config.grad_channels(channels)
    blocks = config.cdiv(channels, block)
    programs = config.grad_programs(batch * height, blocks)
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
        elements=config.GRAD_ELEMENTS,
        block_c=block,
        num_warps=8,
    )
    return table.sum(0)
