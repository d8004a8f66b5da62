"""The exchange between the scales of a parallel block: one gather per scale, its gradient one too.

In backward a source pixel collects from all the target
pixels that used it; their weights are found by the very arithmetic of the forward pass. No atomics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import tuning
from .kernels.scale_exchange import scale_exchange_kernel
from .launching import define, launch, wrap_triton

SOURCES = 3  # that one launch gathers from beside the map of the scale itself


def _gather(
    own: Tensor, residual: Tensor | None, others: Sequence[Tensor], dtype: torch.dtype, back: bool
) -> Tensor:
    """own + residual + the others; more than ``SOURCES`` of them take another launch."""
    tile = tuning.exchange_tile(own.shape)
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
