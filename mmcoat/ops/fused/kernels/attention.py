"""Kernels that walk over the map: Q (K^T V) with the relative position encoding, and their gradient."""

import triton
import triton.language as tl

from .context import dot
from .windows import locate, origin, window_sums


@triton.jit
def head_product(
    source,
    matrix,
    image,
    place,
    there_n,
    top,
    channels,
    first_c,
    stride: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    block_c: tl.constexpr,
    transposed: tl.constexpr,
):
    """Tokens times the block-diagonal matrix of all heads: one block of columns, (block_n, block_c).

    Blocks of channels follow the alignment of loads, not the borders of heads. So a block overlaps a few
    heads, and a head overlaps a few blocks. With ``top`` the tokens are replaced by exp(token - top) first.
    """
    total = tl.zeros([place.shape[0], block_c], tl.float32)
    head = channels // head_width
    lowest = first_c // head_width * head_width
    highest = tl.minimum((first_c + block_c - 1) // head_width * head_width + head_width, count)
    image = image.to(tl.int64) * count
    for block in range(lowest // block_c, tl.cdiv(highest, block_c)):
        inner = block * block_c + tl.arange(0, block_c)
        keep = inner < count
        there = there_n[:, None] & keep[None, :]
        token = tl.load(source + place[:, None] * stride + inner[None, :], there, 0.0)
        kind = token.dtype
        if top is not None:
            highest_key = tl.load(top + image + inner, keep, 0.0)
            token = tl.exp(token.to(tl.float32) - highest_key[None, :]).to(kind)
        if transposed:
            where = (
                channels[None, :] * head_width + (inner - inner // head_width * head_width)[:, None]
            )
        else:
            where = inner[:, None] * head_width + (channels - head * head_width)[None, :]
        same = ((inner // head_width)[:, None] == head[None, :]) & keep[:, None]
        part = tl.load(matrix + image * head_width + where, same & (channels < count)[None, :], 0.0)
        total = dot(token, part.to(kind), total)
    return total


@triton.jit
def attention_kernel(
    q,
    v,
    context,
    packed,
    out,
    height,
    width,
    tiles_y,
    tiles_x,
    scale,
    stride: tl.constexpr,
    frame: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    block_h: tl.constexpr,
    block_w: tl.constexpr,
    block_c: tl.constexpr,
):
    """scale * Q context + Q * (convolution of V, each channel with its window), for a tile."""
    blocks: tl.constexpr = (count + block_c - 1) // block_c
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    first_c = tl.program_id(0) % blocks * block_c
    channels = first_c + tl.arange(0, block_c)
    keep = channels < count
    token = origin(image, first_y, first_x, height, width)
    q += token * stride
    v += token * stride
    there_n = (first_y + dy < height) & (first_x + dx < width)
    there = there_n[:, None] & keep[None, :]
    place = dy * width + dx
    result = window_sums(
        v,
        stride,
        None,
        stride,
        packed,
        frame,
        first_y,
        first_x,
        first_c,
        dy,
        dx,
        channels,
        height,
        width,
        count,
        head_width,
        windows,
        heads,
        groups,
        False,
    )
    result += tl.load(packed + frame * frame * count + channels, keep, 0.0)[None, :]
    result *= tl.load(q + place[:, None] * stride + channels[None, :], there, 0.0).to(tl.float32)
    result += scale * head_product(
        q,
        context,
        image,
        place,
        there_n,
        None,
        channels,
        first_c,
        stride,
        count,
        head_width,
        block_c,
        False,
    )
    where = token * count + place[:, None] * count + channels[None, :]
    tl.store(out + where, result.to(out.dtype.element_ty), there)


@triton.jit
def attention_grad_kernel(
    q,
    k,
    v,
    d_out,
    context,
    d_context,
    top,
    row_sum,
    packed,
    d_qkv,
    height,
    width,
    tiles_y,
    tiles_x,
    scale,
    stride: tl.constexpr,
    frame: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    block_h: tl.constexpr,
    block_w: tl.constexpr,
    block_c: tl.constexpr,
):
    """Gradients of query, key and value of a tile, written as one packed buffer."""
    blocks: tl.constexpr = (count + block_c - 1) // block_c
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    first_c = tl.program_id(0) % blocks * block_c
    channels = first_c + tl.arange(0, block_c)
    keep = channels < count
    token = origin(image, first_y, first_x, height, width)
    q += token * stride
    k += token * stride
    v += token * stride
    d_out += token * count
    there_n = (first_y + dy < height) & (first_x + dx < width)
    there = there_n[:, None] & keep[None, :]
    place = dy * width + dx
    own = place[:, None] * stride + channels[None, :]
    kind = d_qkv.dtype.element_ty
    d_qkv += token * 3 * count
    where = place[:, None] * 3 * count + channels[None, :]
    row = image.to(tl.int64) * count + channels

    d_q = window_sums(
        v,
        stride,
        None,
        stride,
        packed,
        frame,
        first_y,
        first_x,
        first_c,
        dy,
        dx,
        channels,
        height,
        width,
        count,
        head_width,
        windows,
        heads,
        groups,
        False,
    )
    d_q += tl.load(packed + frame * frame * count + channels, keep, 0.0)[None, :]
    d_q *= tl.load(d_out + place[:, None] * count + channels[None, :], there, 0.0).to(tl.float32)
    d_q += scale * head_product(
        d_out,
        context,
        image,
        place,
        there_n,
        None,
        channels,
        first_c,
        count,
        count,
        head_width,
        block_c,
        True,
    )
    tl.store(d_qkv + where, d_q.to(kind), there)

    d_k = head_product(
        v,
        d_context,
        image,
        place,
        there_n,
        None,
        channels,
        first_c,
        stride,
        count,
        head_width,
        block_c,
        True,
    )
    d_k -= tl.load(row_sum + row, keep, 0.0)[None, :]
    key = tl.load(k + own, there, 0.0).to(tl.float32)
    d_k *= tl.exp(key - tl.load(top + row, keep, 0.0)[None, :])
    tl.store(d_qkv + count + where, d_k.to(kind), there)

    d_v = window_sums(
        q,
        stride,
        d_out,
        count,
        packed,
        frame,
        first_y,
        first_x,
        first_c,
        dy,
        dx,
        channels,
        height,
        width,
        count,
        head_width,
        windows,
        heads,
        groups,
        True,
    )
    d_v += head_product(
        k,
        d_context,
        image,
        place,
        there_n,
        top,
        channels,
        first_c,
        stride,
        count,
        head_width,
        block_c,
        False,
    )
    tl.store(d_qkv + 2 * count + where, d_v.to(kind), there)
