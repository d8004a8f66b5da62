"""Layer norm over channels and its gradient: one read, one write; all statistics in float32."""

import torch
from torch import Tensor

from . import tuning
from .kernels.layer_norm import layer_norm_grad_kernel, layer_norm_kernel
from .launching import define, launch, wrap_triton


def norm_dtype(x: Tensor) -> torch.dtype:
    """Dtype of a norm's result: autocast's, or the input's."""
    device = x.device.type
    if device != 'meta' and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def _blocks(channels: int, tokens: int) -> dict[str, int]:
    rows = tuning.norm_rows(channels, tokens)
    return dict(count=channels, block_n=rows, block_c=tuning.power_of_2(channels), num_warps=4)


@define('layer_norm')
def layer_norm_op(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Norm of (..., C) in ``dtype``, mean and 1 / standard deviation, (...) in float32."""
    channels = x.shape[-1]
    if gamma.shape != x.shape[-1:] or beta.shape != gamma.shape:
        raise ValueError(
            f'weight and bias of ({channels},) expected, got {tuple(gamma.shape)} and {tuple(beta.shape)}'
        )
    x = x.contiguous()
    normed = torch.empty_like(x, dtype=dtype)
    mean = x.new_empty(x.shape[:-1], dtype=torch.float32)
    rstd = torch.empty_like(mean)
    blocks = _blocks(channels, mean.numel())
    launch(
        wrap_triton(layer_norm_kernel),
        tuning.cdiv(mean.numel(), blocks['block_n']),
        x,
        gamma,
        beta,
        normed,
        mean,
        rstd,
        mean.numel(),
        eps,
        **blocks,
    )
    return normed, mean, rstd


@define('layer_norm_grad')
def layer_norm_grad_op(
    d_normed: Tensor, d_skip: Tensor | None, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of x plus ``d_skip``, and gradients of gamma and beta, (2, C) in float32."""
    x, d_normed = x.contiguous(), d_normed.contiguous()
    channels, tokens = x.shape[-1], mean.numel()
    blocks = _blocks(channels, tokens)
    programs = tuning.norm_grad_programs(tokens, blocks['block_n'])
    d_x = torch.empty_like(x)
    table = x.new_empty((programs, 2, channels), dtype=torch.float32)
    launch(
        wrap_triton(layer_norm_grad_kernel),
        programs,
        d_normed,
        None if d_skip is None else d_skip.contiguous(),
        x,
        mean,
        rstd,
        gamma,
        d_x,
        table,
        tokens,
        programs,
        **blocks,
    )
    return d_x, table.sum(0)


def layer_norm_backward(
    d_normed: Tensor, d_skip: Tensor | None, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``x``, gamma and beta.

    Args:
        d_normed: Gradient of the norm, (..., C).
        d_skip: Another gradient of ``x`` to add, (..., C) or None.
        x: Input of the norm, (..., C).
        mean: Its means, (...).
        rstd: Its 1 / standard deviations, (...).
        gamma: Scale of the norm, (C,).
    """
    d_x, d_params = layer_norm_grad_op(d_normed, d_skip, x, mean, rstd, gamma)
    return d_x, *d_params.to(gamma.dtype).unbind(0)
