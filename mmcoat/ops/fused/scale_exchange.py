"""The exchange between the scales of a parallel block: one gather per scale, also in the gradient.

In backward a source pixel collects from all target pixels that used it, with weights from the same arithmetic
as in the forward pass. There are no atomics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import tuning
from .kernels.scale_exchange import scale_exchange_kernel
from .launching import define, launch, wrap_triton

SOURCES = 3  # other maps that one launch gathers from, in addition to the scale's own map


def _gather(
    own: Tensor,
    residual: Tensor | None,
    others: Sequence[Tensor],
    factors: Sequence[Tensor | None],
    dtype: torch.dtype,
    back: bool,
) -> Tensor:
    """residual + own map + other maps, both with their factors; many other maps need more launches."""
    tile = tuning.exchange_tile(own.shape)
    grid, tiles_y, tiles_x = tile.grid(own.shape)
    out = torch.empty_like(own, dtype=dtype)
    none = [None] * (SOURCES - len(others))
    now = [*others[:SOURCES], *none]
    sizes = [size for x in now for size in ((1, 1) if x is None else x.shape[1:3])]
    launch(
        wrap_triton(scale_exchange_kernel),
        grid,
        own,
        residual,
        *now,
        *factors[: SOURCES + 1],
        *none,
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
    if not rest:
        return out
    return _gather(out, None, rest, [None, *factors[SOURCES + 1 :]], dtype, back)


@define('scale_exchange')
def scale_exchange_op(
    maps: Sequence[Tensor], residuals: Sequence[Tensor], factors: Sequence[Tensor]
) -> list[Tensor]:
    """See ``scale_exchange``; ``factors`` may be empty."""
    maps, outs = [x.contiguous() for x in maps], []
    for place, (own, residual) in enumerate(zip(maps, residuals, strict=True)):
        dtype = torch.promote_types(own.dtype, residual.dtype)
        others = maps[:place] + maps[place + 1 :]
        own_factors = [factors[place] if factors else None] * len(maps)
        outs.append(_gather(own, residual.contiguous(), others, own_factors, dtype, False))
    return outs


@define('scale_exchange_grad')
def scale_exchange_grad_op(
    grads: Sequence[Tensor], factors: Sequence[Tensor], dtype: torch.dtype
) -> list[Tensor]:
    """Gradients of the maps from the gradients of the results."""
    grads, outs = [x.contiguous() for x in grads], []
    scales = list(factors) if factors else [None] * len(grads)
    for place, own in enumerate(grads):
        order = [place, *(other for other in range(len(grads)) if other != place)]
        others = [grads[other] for other in order[1:]]
        outs.append(_gather(own, None, others, [scales[i] for i in order], dtype, True))
    return outs


def _setup(ctx, inputs, output) -> None:
    maps, residuals, factors = inputs
    ctx.dtypes = maps[0].dtype, [x.dtype for x in residuals]
    ctx.save_for_backward(*factors)


def _backward(ctx, grads: list[Tensor]) -> tuple[list, list, list]:
    dtype, residual_dtypes = ctx.dtypes
    factors = list(ctx.saved_tensors)
    d_residuals = [grad.to(kind) for grad, kind in zip(grads, residual_dtypes, strict=True)]
    return scale_exchange_grad_op(grads, factors, dtype), d_residuals, [None] * len(factors)


scale_exchange_op.register_autograd(_backward, setup_context=_setup)


def scale_exchange(
    maps: Sequence[Tensor], residuals: Sequence[Tensor], factors: Sequence[Tensor | None]
) -> list[Tensor]:
    """Give each scale its residual and the sum of all scales; see ``reference.scale_exchange``.

    Returns:
        One (B, Hi, Wi, C) per scale, in the wider dtype of map and residual.

    Raises:
        ValueError: If the shapes or dtypes do not fit together.
    """
    maps, residuals = list(maps), list(residuals)
    if len({(x.shape[0], x.shape[3], x.dtype) for x in maps}) != 1:
        shapes = [(tuple(x.shape), x.dtype) for x in maps]
        raise ValueError(f'maps of equal batch, channels and dtype expected, got {shapes}')
    if [x.shape for x in residuals] != [x.shape for x in maps]:
        shapes = [tuple(x.shape) for x in residuals]
        raise ValueError(f'residuals with the shapes of the maps expected, got {shapes}')
    if all(factor is None for factor in factors):
        factors = []
    factors = [maps[0].new_ones(maps[0].shape[0]) if f is None else f for f in factors]
    return scale_exchange_op(
        [x.contiguous() for x in maps], [x.contiguous() for x in residuals], factors
    )
