"""Convolutional position encoding with its residual, and with the norm that follows it, in one pass."""

import torch
from torch import Tensor

from . import tuning
from .kernels.conv_pos_enc import conv_pos_enc_kernel
from .launching import define, launch, wrap_triton
from .layer_norm import grad_of_norm, norm_dtype
from .window_grad import window_grad


def _launch(
    tile: tuning.Tile,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    out: Tensor,
    norm: tuple = (None,) * 5,
    eps: float = 0.0,
    flip: bool = False,
) -> None:
    """``norm``: gamma, beta, normed, mean, rstd."""
    grid, tiles_y, tiles_x = tile.grid(x.shape)
    launch(
        wrap_triton(conv_pos_enc_kernel),
        grid,
        x,
        weight,
        bias,
        out,
        *norm,
        x.shape[1],
        x.shape[2],
        tiles_y,
        tiles_x,
        eps,
        count=x.shape[3],
        size=weight.shape[-1],
        flip=flip,
        block_h=tile.height,
        block_w=tile.width,
        block_c=tile.channels,
        num_warps=tile.num_warps,
    )


@define('conv_pos_enc')
def conv_pos_enc_op(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x + convolution of x; see ``conv_pos_enc``."""
    x = x.contiguous()
    out = torch.empty_like(x)
    _launch(tuning.conv_tile(x.shape), x, weight.contiguous(), bias, out)
    return out


@define('conv_pos_enc_norm')
def conv_pos_enc_norm_op(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same and its norm; see ``conv_pos_enc_norm``."""
    x = x.contiguous()
    out, normed = torch.empty_like(x), torch.empty_like(x, dtype=dtype)
    mean = x.new_empty(x.shape[:3], dtype=torch.float32)
    rstd = torch.empty_like(mean)
    norm = (gamma, beta, normed, mean, rstd)
    _launch(tuning.conv_norm_tile(x.shape), x, weight.contiguous(), bias, out, norm, eps)
    return out, normed, mean, rstd


@define('conv_pos_enc_grad_input')
def grad_input_op(grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of x: grad + convolution of grad with the filters turned round."""
    grad = grad.contiguous()
    out = torch.empty_like(grad)
    _launch(tuning.conv_tile(grad.shape), grad, weight.contiguous(), None, out, flip=True)
    return out


@define('conv_pos_enc_grad_params')
def grad_params_op(grad: Tensor, x: Tensor, size: int) -> Tensor:
    """The gradients of filters and bias, one after another, in float32."""
    return window_grad(x.contiguous(), grad.contiguous(), None, [size], [1], x.shape[3])


def _split_params(flat: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of filters and bias out of one buffer, in the parameters' dtype."""
    d_weight, d_bias = flat.to(weight.dtype).split([weight.numel(), weight.shape[0]])
    return d_weight.view(weight.shape), d_bias


def _grads(ctx, grad: Tensor | None, x: Tensor, weight: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of x, filters and bias, as far as they are asked for."""
    d_x = d_weight = d_bias = None
    if grad is None:
        return None, None, None
    if ctx.needs_input_grad[0]:
        d_x = grad_input_op(grad, weight)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        d_weight, d_bias = _split_params(grad_params_op(grad, x, weight.shape[-1]), weight)
    return d_x, d_weight, d_bias


def _setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _grads(ctx, grad, *ctx.saved_tensors)


def _setup_norm(ctx, inputs, output) -> None:
    x, weight, _, gamma, _, _, _ = inputs
    out, _, mean, rstd = output
    ctx.save_for_backward(x, weight, gamma, out, mean, rstd)
    ctx.set_materialize_grads(False)


def _backward_norm(ctx, d_out: Tensor, d_normed: Tensor, *_) -> tuple[Tensor | None, ...]:
    x, weight, gamma, out, mean, rstd = ctx.saved_tensors
    grad, d_gamma, d_beta = grad_of_norm(d_out, d_normed, out, mean, rstd, gamma)
    return *_grads(ctx, grad, x, weight), d_gamma, d_beta, None, None


conv_pos_enc_op.register_autograd(_backward, setup_context=_setup)
conv_pos_enc_norm_op.register_autograd(_backward_norm, setup_context=_setup_norm)


def _check(x: Tensor, weight: Tensor) -> None:
    channels, size = x.shape[-1], weight.shape[-1]
    if x.dim() != 4 or weight.shape != (channels, 1, size, size) or size % 2 == 0:
        raise ValueError(
            'x of (B, H, W, C) and filters of (C, 1, K, K) with an odd K expected, '
            f'got {tuple(x.shape)} and {tuple(weight.shape)}'
        )


def conv_pos_enc(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x + depthwise_conv(x)``: one reading of x, one writing.

    Args:
        x: Image tokens, (B, H, W, C).
        weight: Depthwise filters, (C, 1, K, K) with odd K; any dtype, autocast does not touch them.
        bias: (C,).

    Returns:
        (B, H, W, C) in the dtype of ``x``.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    _check(x, weight)
    return conv_pos_enc_op(x.contiguous(), weight, bias)


def conv_pos_enc_norm(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``x' = x + depthwise_conv(x)`` and its layer norm: one reading of x, two writings.

    Args:
        x: Image tokens, (B, H, W, C).
        weight: Depthwise filters, (C, 1, K, K) with odd K.
        bias: (C,).
        gamma: Weight of the norm, (C,).
        beta: Bias of the norm, (C,).
        eps: Of the norm.

    Returns:
        ``x'`` in the dtype of ``x``; its norm, under autocast in the autocast dtype, which is what the next
        matrix product wants; mean and 1 / standard deviation of the tokens, (B, H, W) in float32, which
        carry no gradient.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    _check(x, weight)
    return conv_pos_enc_norm_op(x.contiguous(), weight, bias, gamma, beta, eps, norm_dtype(x))
