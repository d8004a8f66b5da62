"""Layer norm and linear layer; the normed tokens are recomputed in backward instead of kept."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import reference

from .common import compute_dtype, map_rows, no_autocast, rows, wants_gradient
from .linear import linear


def norm_linear(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, ...]:
    """Return ``linear(layer_norm(x))`` of each tensor; see ``reference.norm_linear``."""
    if torch.compiler.is_compiling():  # Inductor decides itself what to keep
        return reference.norm_linear(tokens, gamma, beta, eps, weight, bias)
    dtype = compute_dtype(tokens[0])
    with no_autocast(tokens[0]):
        if wants_gradient(*tokens, gamma, beta, weight, bias):
            return tuple(NormLinear.apply(x, gamma, beta, eps, weight, bias, dtype) for x in tokens)
        weight, bias = weight.to(dtype), bias.to(dtype)
        return map_rows(
            lambda x: linear(layer_norm(x, gamma, beta, eps)[0].to(dtype), weight, bias), tokens
        )


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normed (..., C), the means and the reciprocal standard deviations, (..., 1)."""
    if x.is_cuda and x.dtype != gamma.dtype:
        x = x.to(gamma.dtype)  # CUDA's norm takes one dtype
    return torch.native_layer_norm(x, gamma.shape, gamma, beta, eps)


def layer_norm_backward(
    grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``x``, ``gamma`` and ``beta``."""
    dtype = gamma.dtype if x.is_cuda else x.dtype
    grads = torch.ops.aten.native_layer_norm_backward(
        grad.to(dtype), x.to(dtype), gamma.shape, mean, rstd, gamma, beta, [True] * 3
    )
    return grads[0].to(x.dtype), grads[1], grads[2]


class NormLinear(torch.autograd.Function):
    """Keeps its input and the norm's statistics."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, weight, bias, dtype):
        normed, mean, rstd = layer_norm(x, gamma, beta, eps)
        ctx.save_for_backward(x, gamma, beta, mean, rstd, weight, bias)
        ctx.eps, ctx.dtype = eps, dtype
        return linear(normed.to(dtype), weight.to(dtype), bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, gamma, beta, mean, rstd, weight, bias = ctx.saved_tensors
        grad = rows(grad)
        with no_autocast(x):
            grad_weight = grad_bias = None
            if ctx.needs_input_grad[4]:
                normed = rows(layer_norm(x, gamma, beta, ctx.eps)[0]).to(ctx.dtype)
                grad_weight = (grad.t() @ normed).to(weight.dtype)
                grad_bias = grad.sum(0).to(bias.dtype)
            grad_normed = (grad @ weight.to(ctx.dtype)).view(x.shape)
            grads = layer_norm_backward(grad_normed, x, mean, rstd, gamma, beta)
        return *grads, None, grad_weight, grad_bias, None
