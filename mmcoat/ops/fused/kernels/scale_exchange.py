"""Sum of maps of several sizes, each resized to one of them, and the transposed sum for the gradient."""

import triton
import triton.language as tl

from .windows import locate, origin


@triton.jit
def source_index(target, source_size, target_size):
    """Where a target pixel samples, as in PyTorch: first pixel, second pixel, weight of the second."""
    ratio = tl.div_rn(tl.cast(source_size, tl.float32), tl.cast(target_size, tl.float32))
    place = tl.maximum((target.to(tl.float32) + 0.5) * ratio - 0.5, 0.0)
    low = tl.minimum(place.to(tl.int32), source_size - 1)
    return low, tl.minimum(low + 1, source_size - 1), place - low.to(tl.float32)


@triton.jit
def load_pixels(source, image, y, x, height, width, channels, there, count: tl.constexpr):
    """(block_n, block_c) in float32: pixels at any positions (y, x) of one image."""
    token = (image.to(tl.int64) * height + y) * width + x
    value = tl.load(source + token[:, None] * count + channels[None, :], there, 0.0)
    return value.to(tl.float32)


@triton.jit
def resized(source, image, y, x, there, channels, h, w, height, width, count: tl.constexpr):
    """A map of h x w, resized to height x width, at the positions (y, x)."""
    y0, y1, down = source_index(y, h, height)
    x0, x1, right = source_index(x, w, width)
    down, right = down[:, None], right[:, None]
    above = load_pixels(source, image, y0, x0, h, w, channels, there, count) * (1.0 - right)
    above += load_pixels(source, image, y0, x1, h, w, channels, there, count) * right
    below = load_pixels(source, image, y1, x0, h, w, channels, there, count) * (1.0 - right)
    below += load_pixels(source, image, y1, x1, h, w, channels, there, count) * right
    return above * (1.0 - down) + below * down


@triton.jit
def use_of_pixel(pixel, step, source_size, target_size):
    """The ``step``-th target pixel that may use a source pixel, and its weight (0 if it does not)."""
    # the first target pixel with a sample position above pixel - 1
    first = tl.maximum((2 * pixel - 1) * target_size - source_size, 0) // (2 * source_size)
    target = first + step
    low, high, part = source_index(target, source_size, target_size)
    weight = tl.where(low == pixel, 1.0 - part, 0.0) + tl.where(high == pixel, part, 0.0)
    return target, tl.where(target < target_size, weight, 0.0)


@triton.jit
def resized_back(grad, image, y, x, there, channels, h, w, height, width, count: tl.constexpr):
    """Gradient of a map of height x width from the gradient of its resized map, h x w."""
    total = tl.zeros([y.shape[0], channels.shape[0]], tl.float32)
    for step_y in range((2 * h + height - 1) // height + 2):
        target_y, weight_y = use_of_pixel(y, step_y, height, h)
        for step_x in range((2 * w + width - 1) // width + 2):
            target_x, weight_x = use_of_pixel(x, step_x, width, w)
            weight = (weight_y * weight_x)[:, None]
            used = there & (weight > 0)
            value = load_pixels(grad, image, target_y, target_x, h, w, channels, used, count)
            total += value * weight
    return total


@triton.jit
def scaled(
    source,
    factor,
    image,
    y,
    x,
    there,
    channels,
    h,
    w,
    height,
    width,
    count: tl.constexpr,
    back: tl.constexpr,
):
    """A map of h x w, resized to height x width, times the factor of its image; ``back`` transposes that."""
    if back:
        total = resized_back(source, image, y, x, there, channels, h, w, height, width, count)
    else:
        total = resized(source, image, y, x, there, channels, h, w, height, width, count)
    if factor is not None:
        total *= tl.load(factor + image).to(tl.float32)
    return total


@triton.jit
def scale_exchange_kernel(
    own,
    residual,
    a,
    b,
    c,
    own_factor,
    a_factor,
    b_factor,
    c_factor,
    out,
    height,
    width,
    tiles_y,
    tiles_x,
    a_h,
    a_w,
    b_h,
    b_w,
    c_h,
    c_w,
    back: tl.constexpr,
    count: tl.constexpr,
    block_h: tl.constexpr,
    block_w: tl.constexpr,
    block_c: tl.constexpr,
):
    """residual + own map + other maps resized to it, for a tile; all maps are multiplied by their factors."""
    blocks: tl.constexpr = (count + block_c - 1) // block_c
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    channels = tl.program_id(0) % blocks * block_c + tl.arange(0, block_c)
    y, x = first_y + dy, first_x + dx
    there = ((y < height) & (x < width))[:, None] & (channels < count)[None, :]
    where = origin(image, first_y, first_x, height, width) * count
    where += (dy * width + dx)[:, None] * count + channels[None, :]
    total = tl.load(own + where, there, 0.0).to(tl.float32)
    if own_factor is not None:
        total *= tl.load(own_factor + image).to(tl.float32)
    if residual is not None:
        total += tl.load(residual + where, there, 0.0).to(tl.float32)
    if a is not None:
        total += scaled(
            a, a_factor, image, y, x, there, channels, a_h, a_w, height, width, count, back
        )
    if b is not None:
        total += scaled(
            b, b_factor, image, y, x, there, channels, b_h, b_w, height, width, count, back
        )
    if c is not None:
        total += scaled(
            c, c_factor, image, y, x, there, channels, c_h, c_w, height, width, count, back
        )
    tl.store(out + where, total.to(out.dtype.element_ty), there)
