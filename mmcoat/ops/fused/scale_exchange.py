"""The exchange between the scales of a parallel block: one gather per scale, its gradient one too.

The plain twin is ``mmcoat/ops/scale_exchange.py``. In backward a source pixel collects from all the target
pixels that used it; their weights are found by the very arithmetic of the forward pass. No atomics.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import config
from .launching import define, launch, wrap_triton
from .windows import locate, origin

SOURCES = 3  # that one launch gathers from beside the map of the scale itself


@triton.jit
def source_index(target, source_size, target_size):
    """Where a target pixel samples, as PyTorch has it: first pixel, second pixel, weight of the second."""
    ratio = tl.div_rn(tl.cast(source_size, tl.float32), tl.cast(target_size, tl.float32))
    place = tl.maximum((target.to(tl.float32) + 0.5) * ratio - 0.5, 0.0)
    low = tl.minimum(place.to(tl.int32), source_size - 1)
    return low, tl.minimum(low + 1, source_size - 1), place - low.to(tl.float32)


@triton.jit
def load_pixels(source, image, y, x, height, width, channels, there, count: tl.constexpr):
    """(block_n, block_c) in float32: pixels (y, x) of one image, anywhere in it."""
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
    """The ``step``-th target pixel that may have used a source pixel, and its weight (0 if it did not)."""
    # the first with a sample position above pixel - 1
    first = tl.maximum((2 * pixel - 1) * target_size - source_size, 0) // (2 * source_size)
    target = first + step
    low, high, part = source_index(target, source_size, target_size)
    weight = tl.where(low == pixel, 1.0 - part, 0.0) + tl.where(high == pixel, part, 0.0)
    return target, tl.where(target < target_size, weight, 0.0)


@triton.jit
def resized_back(grad, image, y, x, there, channels, h, w, height, width, count: tl.constexpr):
    """Gradient of a map of height x width from the gradient of what it was resized to, h x w."""
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
def scale_exchange_kernel(
    own,
    residual,
    a,
    b,
    c,
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
    """own + residual + other maps resized to it, for a tile; with ``back`` the transposed resizes."""
    blocks: tl.constexpr = (count + block_c - 1) // block_c
    tile = tl.program_id(0) // blocks
    image, first_y, first_x, dy, dx = locate(tile, tiles_y, tiles_x, block_h, block_w)
    channels = tl.program_id(0) % blocks * block_c + tl.arange(0, block_c)
    y, x = first_y + dy, first_x + dx
    there = ((y < height) & (x < width))[:, None] & (channels < count)[None, :]
    where = origin(image, first_y, first_x, height, width) * count
    where += (dy * width + dx)[:, None] * count + channels[None, :]
    total = tl.load(own + where, there, 0.0).to(tl.float32)
    if residual is not None:
        total += tl.load(residual + where, there, 0.0).to(tl.float32)
    if back:
        if a is not None:
            total += resized_back(a, image, y, x, there, channels, a_h, a_w, height, width, count)
        if b is not None:
            total += resized_back(b, image, y, x, there, channels, b_h, b_w, height, width, count)
        if c is not None:
            total += resized_back(c, image, y, x, there, channels, c_h, c_w, height, width, count)
    else:
        if a is not None:
            total += resized(a, image, y, x, there, channels, a_h, a_w, height, width, count)
        if b is not None:
            total += resized(b, image, y, x, there, channels, b_h, b_w, height, width, count)
        if c is not None:
            total += resized(c, image, y, x, there, channels, c_h, c_w, height, width, count)
    tl.store(out + where, total.to(out.dtype.element_ty), there)


def _gather(
    own: Tensor, residual: Tensor | None, others: Sequence[Tensor], dtype: torch.dtype, back: bool
) -> Tensor:
    """own + residual + the others; more than ``SOURCES`` of them take another launch."""
    tile = config.exchange_tile(own.shape)
    grid, tiles_y, tiles_x = tile.grid(own.shape)
    out = torch.empty_like(own, dtype=dtype)
    now = [*others[:SOURCES], *[None] * (SOURCES - len(others))]
    sizes = [size for x in now for size in ((1, 1) if x is None else x.shape[1:3])]
    launch(
        wrap_triton(scale_exchange_kernel),
        grid,
        own,
        residual,
        *now,
        out,
        *own.shape[1:3],
        tiles_y,
        tiles_x,
        *sizes,
        back=back,
        count=own.shape[3],
        block_h=tile.height,
        block_w=tile.width,
        block_c=tile.channels,
        num_warps=tile.num_warps,
    )
    rest = others[SOURCES:]
    return _gather(out, None, rest, dtype, back) if rest else out


def _gather_all(maps: Sequence[Tensor], residuals: Sequence[Tensor], dtype: torch.dtype | None):
    """One gather per scale; ``dtype`` is that of the gradients in backward, None in forward."""
    maps = [x.contiguous() for x in maps]
    outs = []
    for place, own in enumerate(maps):
        residual = residuals[place].contiguous() if residuals else None
        kind = own.dtype if residual is None else torch.promote_types(own.dtype, residual.dtype)
        others = maps[:place] + maps[place + 1 :]
        outs.append(_gather(own, residual, others, dtype or kind, dtype is not None))
    return outs


@define('scale_exchange')
def scale_exchange_op(maps: Sequence[Tensor], residuals: Sequence[Tensor]) -> list[Tensor]:
    """See ``scale_exchange``; ``residuals`` may be empty."""
    return _gather_all(maps, residuals, None)


@define('scale_exchange_grad')
def scale_exchange_grad_op(grads: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Gradients of the maps from the gradients of the results."""
    return _gather_all(grads, [], dtype)


def _setup(ctx, inputs, output) -> None:
    maps, residuals = inputs
    ctx.dtypes = maps[0].dtype, [x.dtype for x in residuals]


def _backward(ctx, grads: list[Tensor]) -> tuple[list, list]:
    dtype, residual_dtypes = ctx.dtypes
    d_residuals = [grad.to(kind) for grad, kind in zip(grads, residual_dtypes, strict=False)]
    return scale_exchange_grad_op(grads, dtype), d_residuals


scale_exchange_op.register_autograd(_backward, setup_context=_setup)


def scale_exchange(
    maps: Sequence[Tensor], residuals: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """Give each scale the sum of all scales, each resized to it, and its residual.

    Args:
        maps: One (B, Hi, Wi, C) per scale, all of one dtype; sizes may differ, channels may not.
        residuals: The same shapes, added to the results.

    Returns:
        One (B, Hi, Wi, C) per scale, in the wider dtype of map and residual.

    Raises:
        ValueError: If the shapes or dtypes do not fit together.
    """
    maps, residuals = list(maps), list(residuals or [])
    if len({(x.shape[0], x.shape[3], x.dtype) for x in maps}) != 1:
        shapes = [(tuple(x.shape), x.dtype) for x in maps]
        raise ValueError(f'maps of equal batch, channels and dtype expected, got {shapes}')
    if residuals and [x.shape for x in residuals] != [x.shape for x in maps]:
        shapes = [tuple(x.shape) for x in residuals]
        raise ValueError(f'residuals with the shapes of the maps expected, got {shapes}')
    return scale_exchange_op([x.contiguous() for x in maps], [x.contiguous() for x in residuals])
