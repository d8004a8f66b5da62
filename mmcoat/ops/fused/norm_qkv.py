"""Norm and the linear layer of queries, keys and values: the fused norm, then PyTorch's product.

The normed tokens are computed again in backward.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..common import map_rows, rows
from .layer_norm import layer_norm_backward, layer_norm_op, norm_dtype


def norm_qkv(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, ...]:
    """Return queries, keys and values of the normed tokens; see ``reference.norm_qkv``."""

    def run(x: Tensor) -> Tensor:
        out = NormLinear.apply(x.contiguous(), gamma, beta, eps, weight, bias)
        return out.unflatten(-1, (3, -1))

    return map_rows(run, tokens)


class NormLinear(torch.autograd.Function):
    """``linear(layer_norm(x))``; keeps ``x`` and the norm's statistics."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, weight, bias):
        dtype = norm_dtype(x)
        normed, mean, rstd = layer_norm_op(x, gamma, beta, eps, dtype)
        ctx.save_for_backward(x, mean, rstd, gamma, beta, weight, bias)
        ctx.eps, ctx.dtype = eps, dtype
        return F.linear(normed, weight.to(dtype), bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, mean, rstd, gamma, beta, weight, bias = ctx.saved_tensors
        normed = layer_norm_op(x, gamma, beta, ctx.eps, ctx.dtype)[0]
        d_normed, d_weight, d_bias = linear_grads(grad, normed, weight, bias)
        d_norm = layer_norm_backward(d_normed, None, x, mean, rstd, gamma)
        return *d_norm, None, d_weight, d_bias


def linear_grads(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias of a linear layer that ran in the dtype of ``x``."""
    d_x = (rows(grad) @ weight.to(grad.dtype)).view(x.shape)
    return d_x, *parameter_grads(grad, x, weight, bias)


def parameter_grads(grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias of a linear layer."""
    d_weight = rows(grad).t() @ rows(x)
    d_bias = rows(grad).sum(0, dtype=torch.promote_types(grad.dtype, bias.dtype))
    return d_weight.to(weight.dtype), d_bias.to(bias.dtype)
