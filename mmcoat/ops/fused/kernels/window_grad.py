"""Sums of gradient x source over a map, for every tap of every channel's window."""

import triton
import triton.language as tl

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
