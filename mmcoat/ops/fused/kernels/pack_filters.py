"""Filters of several windows in the frame of the largest, channels innermost."""

import triton
import triton.language as tl

from .windows import channel_windows


@triton.jit
def pack_windows_kernel(
    params,
    packed,
    bias,
    frame: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    block_c: tl.constexpr,
):
    """One tap of all filters, or the biases: from (C, K, K) per group to (taps of the largest, C)."""
    tap = tl.program_id(0)
    channels = tl.arange(0, block_c)
    keep = channels < count
    sizes, starts = channel_windows(channels, head_width, windows, heads, groups)
    reach = sizes // 2
    sy = tap // frame - frame // 2
    sx = tap % frame - frame // 2
    inside = (sy <= reach) & (-sy <= reach) & (sx <= reach) & (-sx <= reach)
    where = starts + (sy + reach) * sizes + sx + reach
    if tap == frame * frame:
        inside = keep
        where = bias + channels
    value = tl.load(params + where, keep & inside, 0.0)
    tl.store(packed + tap * count + channels, value.to(tl.float32), keep)
