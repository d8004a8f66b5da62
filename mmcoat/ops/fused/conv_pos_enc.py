"""Convolutional position encoding with its residual in one pass."""

import torch
from torch import Tensor

from . import tuning
from .kernels.conv_pos_enc import conv_pos_enc_kernel
from .launching import define, launch, wrap_triton
from .window_grad import window_grad


def _launch(
    tile: tuning.Tile,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    out: Tensor,
    flip: bool = False,
) -> None:
    grid, tiles_y, tiles_x = tile.grid(x.shape)
    launch(
        wrap_triton(conv_pos_enc_kernel),
        grid,
        x,
        weight,
        bias,
        out,
        x.shape[1],
        x.shape[2],
        tiles_y,
        tiles_x,
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


@define('conv_pos_enc_grad_input')
def grad_input_op(grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of x: grad + convolution of grad with the flipped filters."""
    grad = grad.contiguous()
    out = torch.empty_like(grad)
    _launch(tuning.conv_tile(grad.shape), grad, weight.contiguous(), None, out, flip=True)
    return out


@define('conv_pos_enc_grad_params')
def grad_params_op(grad: Tensor, x: Tensor, size: int) -> Tensor:
    """The gradients of filters and bias, one after another, in float32."""
    return window_grad(x.contiguous(), grad.contiguous(), None, [size], [1], x.shape[3])


def _split_params(flat: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of filters and bias, split from one buffer, in the parameters' dtype."""
    d_weight, d_bias = flat.to(weight.dtype).split([weight.numel(), weight.shape[0]])
    return d_weight.view(weight.shape), d_bias


def _setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of x, filters and bias, if they are required."""
    x, weight = ctx.saved_tensors
    d_x = d_weight = d_bias = None
    if ctx.needs_input_grad[0]:
        d_x = grad_input_op(grad, weight)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        d_weight, d_bias = _split_params(grad_params_op(grad, x, weight.shape[-1]), weight)
    return d_x, d_weight, d_bias


conv_pos_enc_op.register_autograd(_backward, setup_context=_setup)


def _check(x: Tensor, weight: Tensor) -> None:
    channels, size = x.shape[-1], weight.shape[-1]
    if x.dim() != 4 or weight.shape != (channels, 1, size, size) or size % 2 == 0:
        raise ValueError(
            'x of (B, H, W, C) and filters of (C, 1, K, K) with an odd K expected, '
            f'got {tuple(x.shape)} and {tuple(weight.shape)}'
        )


def conv_pos_enc(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x + depthwise_conv(x)``; x is read once, and the result is written once.

    Args:
        x: Image tokens, (B, H, W, C).
        weight: Depthwise filters, (C, 1, K, K) with odd K; any dtype, not changed by autocast.
        bias: (C,).

    Returns:
        (B, H, W, C) in the dtype of ``x``.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    _check(x, weight)
    return conv_pos_enc_op(x.contiguous(), weight, bias)
