"""Depthwise convolution of a map, added to it."""

import triton
import triton.language as tl

from .windows import locate, origin, window_sum


@triton.jit
def conv_pos_enc_kernel(
    x,
    weight,
    bias,
    out,
    height,
    width,
    tiles_y,
    tiles_x,
    count: tl.constexpr,
    size: tl.constexpr,
    flip: tl.constexpr,
    block_h: tl.constexpr,
    block_w: tl.constexpr,
    block_c: tl.constexpr,
):
    """x + convolution of x for a tile; ``flip`` flips the filters, for the gradient."""
    blocks: tl.constexpr = (count + block_c - 1) // block_c
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    channels = tl.program_id(0) % blocks * block_c + tl.arange(0, block_c)
    keep = channels < count
    token = origin(image, first_y, first_x, height, width)
    total = window_sum(
        x + token * count,
        count,
        None,
        count,
        weight,
        1,
        size * size,
        size,
        first_y,
        first_x,
        dy,
        dx,
        channels,
        keep,
        height,
        width,
        size,
        flip,
    )
    if bias is not None:
        total += tl.load(bias + channels, keep, 0.0).to(tl.float32)[None, :]
    there_n = (first_y + dy < height) & (first_x + dx < width)
    there = there_n[:, None] & keep[None, :]
    where = (dy * width + dx)[:, None] * count + channels[None, :]
    total += tl.load(x + token * count + where, there, 0.0).to(tl.float32)
    tl.store(out + token * count + where, total.to(out.dtype.element_ty), there)
