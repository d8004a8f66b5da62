"""Layer norm over channels, alone or after a residual addition; all statistics in float32."""

import torch
from torch import Tensor

from . import tuning
from .kernels.layer_norm import layer_norm_grad_kernel, layer_norm_kernel
from .launching import define, launch, wrap_triton


def norm_dtype(x: Tensor) -> torch.dtype:
    """Dtype of a norm's result: what autocast asks for, or the input's."""
    device = x.device.type
    if device != 'meta' and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def _blocks(channels: int, tokens: int) -> dict[str, int]:
    rows = tuning.norm_rows(channels, tokens)
    return dict(count=channels, block_n=rows, block_c=tuning.power_of_2(channels), num_warps=4)


@define('add_norm')
def add_norm_op(
    x: Tensor, branch: Tensor | None, gamma: Tensor, beta: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x + branch (an empty tensor without branch), its norm, mean and 1 / standard deviation."""
    channels = x.shape[-1]
    x = x.contiguous()
    if branch is None:
        total = x.new_empty(0)
    else:
        branch = branch.contiguous()
        total = torch.empty_like(x, dtype=torch.promote_types(x.dtype, branch.dtype))
    normed = torch.empty_like(x, dtype=dtype)
    mean = x.new_empty(x.shape[:-1], dtype=torch.float32)
    rstd = torch.empty_like(mean)
    blocks = _blocks(channels, mean.numel())
    launch(
        wrap_triton(layer_norm_kernel),
        tuning.cdiv(mean.numel(), blocks['block_n']),
        x,
        branch,
        gamma,
        beta,
        None if branch is None else total,
        normed,
        mean,
        rstd,
        mean.numel(),
        eps,
        **blocks,
    )
    return total, normed, mean, rstd


@define('layer_norm_grad')
def layer_norm_grad_op(
    d_normed: Tensor, d_total: Tensor | None, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of x, ``d_total`` added; gradients of gamma and beta, (2, C) in float32."""
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
        None if d_total is None else d_total.contiguous(),
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


def grad_of_norm(
    d_total: Tensor | None,
    d_normed: Tensor | None,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of x (which gives ``x`` itself and its norm), gamma and beta; None stands for zero."""
    if d_normed is None:
        return d_total, None, None
    d_x, d_params = layer_norm_grad_op(d_normed, d_total, x, mean, rstd, gamma)
    d_gamma, d_beta = d_params.to(gamma.dtype).unbind(0)
    return d_x, d_gamma, d_beta


def _setup(ctx, inputs, output) -> None:
    x, branch, gamma, _, _, _ = inputs
    total, _, mean, rstd = output
    ctx.dtypes = x.dtype, None if branch is None else branch.dtype
    ctx.save_for_backward(x if branch is None else total, mean, rstd, gamma)
    ctx.set_materialize_grads(False)


def _backward(ctx, d_total, d_normed, *_) -> tuple[Tensor | None, ...]:
    x_dtype, branch_dtype = ctx.dtypes
    d_total = None if branch_dtype is None else d_total
    grad, d_gamma, d_beta = grad_of_norm(d_total, d_normed, *ctx.saved_tensors)
    d_branch = None if branch_dtype is None or grad is None else grad.to(branch_dtype)
    d_x = None if grad is None else grad.to(x_dtype)
    return d_x, d_branch, d_gamma, d_beta, None, None


add_norm_op.register_autograd(_backward, setup_context=_setup)


def _check(x: Tensor, gamma: Tensor, beta: Tensor) -> None:
    if gamma.shape != x.shape[-1:] or beta.shape != gamma.shape:
        raise ValueError(
            f'weight and bias of ({x.shape[-1]},) expected, got {tuple(gamma.shape)} and {tuple(beta.shape)}'
        )


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """Layer norm over the last dimension: one reading, one writing.

    Args:
        x: (..., C).
        gamma: (C,).
        beta: (C,).
        eps: Added to the variance.

    Returns:
        (..., C), under autocast in the autocast dtype, else in the dtype of ``x``.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    _check(x, gamma, beta)
    return add_norm_op(x.contiguous(), None, gamma, beta, eps, norm_dtype(x))[1]


def add_norm(
    x: Tensor, branch: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``x + branch`` and its layer norm: two readings, two writings.

    Args:
        x: The residual, (..., C).
        branch: What is added, (..., C).
        gamma: (C,).
        beta: (C,).
        eps: Added to the variance.

    Returns:
        ``x + branch`` in the wider of the two dtypes; its norm, under autocast in the autocast dtype; mean
        and 1 / standard deviation, (...) in float32, which carry no gradient.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    _check(x, gamma, beta)
    if x.shape != branch.shape:
        raise ValueError(
            f'two equal shapes expected, got {tuple(x.shape)} and {tuple(branch.shape)}'
        )
    return add_norm_op(x.contiguous(), branch.contiguous(), gamma, beta, eps, norm_dtype(x))
