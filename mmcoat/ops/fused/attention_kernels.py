"""Kernels that walk over the map: Q (K^T V) with the relative position encoding, and their gradient."""

import triton
import triton.language as tl

from .windows import channel_windows, locate, origin, window_sum


@triton.jit
def load_context(context, image, channels, keep, count: tl.constexpr, head_width: tl.constexpr):
    """The contexts of the heads of a program as one block-diagonal matrix, (block_c, block_c)."""
    head = channels // head_width
    same = (head[:, None] == head[None, :]) & keep[:, None] & keep[None, :]
    row = image.to(tl.int64) * count + channels
    where = row[:, None] * head_width + channels[None, :] - head[None, :] * head_width
    return tl.load(context + where, same, 0.0)


@triton.jit
def attention_kernel(
    q,
    v,
    context,
    params,
    out,
    height,
    width,
    tiles_y,
    tiles_x,
    scale,
    stride: tl.constexpr,
    bias: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    used: tl.constexpr,
    block_h: tl.constexpr,
    block_w: tl.constexpr,
    block_c: tl.constexpr,
):
    """scale * Q context + Q * (convolution of V, each channel with its window), for a tile."""
    blocks: tl.constexpr = (count + used - 1) // used
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    near = tl.arange(0, block_c)
    channels = tl.program_id(0) % blocks * used + near
    keep = (near < used) & (channels < count)
    sizes, starts = channel_windows(channels, head_width, windows, heads, groups)
    largest = tl.max(tl.where(keep, sizes, 0), 0)
    token = origin(image, first_y, first_x, height, width)
    q += token * stride
    v += token * stride
    encoded = tl.zeros([block_h * block_w, block_c], tl.float32)
    for group in tl.static_range(groups):
        if largest == (windows >> (8 * group)) & 255:
            encoded = window_sum(
                v,
                stride,
                None,
                stride,
                params,
                starts,
                sizes,
                first_y,
                first_x,
                dy,
                dx,
                channels,
                keep,
                height,
                width,
                (windows >> (8 * group)) & 255,
                False,
            )
    encoded += tl.load(params + bias + channels, keep, 0.0).to(tl.float32)[None, :]
    there = ((first_y + dy < height) & (first_x + dx < width))[:, None] & keep[None, :]
    place = dy * width + dx
    query = tl.load(q + place[:, None] * stride + channels[None, :], there, 0.0)
    matrix = load_context(context, image, channels, keep, count, head_width).to(query.dtype)
    result = tl.dot(query, matrix, input_precision='ieee') * scale
    result += query.to(tl.float32) * encoded
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
    params,
    d_qkv,
    height,
    width,
    tiles_y,
    tiles_x,
    scale,
    stride: tl.constexpr,
    bias: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    windows: tl.constexpr,
    heads: tl.constexpr,
    groups: tl.constexpr,
    used: tl.constexpr,
    block_h: tl.constexpr,
    block_w: tl.constexpr,
    block_c: tl.constexpr,
):
    """Gradients of query, key and value of a tile, written as one packed buffer."""
    blocks: tl.constexpr = (count + used - 1) // used
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    near = tl.arange(0, block_c)
    channels = tl.program_id(0) % blocks * used + near
    keep = (near < used) & (channels < count)
    sizes, starts = channel_windows(channels, head_width, windows, heads, groups)
    largest = tl.max(tl.where(keep, sizes, 0), 0)
    token = origin(image, first_y, first_x, height, width)
    q += token * stride
    k += token * stride
    v += token * stride
    d_out += token * count
    encoded = tl.zeros([block_h * block_w, block_c], tl.float32)
    spread = tl.zeros([block_h * block_w, block_c], tl.float32)
    for group in tl.static_range(groups):
        if largest == (windows >> (8 * group)) & 255:
            encoded = window_sum(
                v,
                stride,
                None,
                stride,
                params,
                starts,
                sizes,
                first_y,
                first_x,
                dy,
                dx,
                channels,
                keep,
                height,
                width,
                (windows >> (8 * group)) & 255,
                False,
            )
            spread = window_sum(
                q,
                stride,
                d_out,
                count,
                params,
                starts,
                sizes,
                first_y,
                first_x,
                dy,
                dx,
                channels,
                keep,
                height,
                width,
                (windows >> (8 * group)) & 255,
                True,
            )
    encoded += tl.load(params + bias + channels, keep, 0.0).to(tl.float32)[None, :]
    there = ((first_y + dy < height) & (first_x + dx < width))[:, None] & keep[None, :]
    place = (dy * width + dx)[:, None]
    grad = tl.load(d_out + place * count + channels[None, :], there, 0.0)
    matrix = load_context(context, image, channels, keep, count, head_width).to(grad.dtype)
    d_q = tl.dot(grad, tl.trans(matrix), input_precision='ieee') * scale
    d_q += grad.to(tl.float32) * encoded
    kind = d_qkv.dtype.element_ty
    where = d_qkv + token * 3 * count + place * 3 * count + channels[None, :]
    tl.store(where, d_q.to(kind), there)
    row = image.to(tl.int64) * count + channels
    highest = tl.load(top + row, keep, 0.0)[None, :]
    key = tl.load(k + place * stride + channels[None, :], there, 0.0).to(tl.float32)
    key = tl.exp(key - highest)
    value = tl.load(v + place * stride + channels[None, :], there, 0.0)
    matrix = load_context(d_context, image, channels, keep, count, head_width).to(value.dtype)
    d_k = tl.dot(value, tl.trans(matrix), input_precision='ieee')
    d_k = key * (d_k - tl.load(row_sum + row, keep, 0.0)[None, :])
    tl.store(where + count, d_k.to(kind), there)
    d_v = tl.dot(key.to(value.dtype), matrix, input_precision='ieee') + spread
    tl.store(where + 2 * count, d_v.to(kind), there)
