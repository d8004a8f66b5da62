"""Norm and MLP: the fused norm, then PyTorch's products, and GELU with its gradient in one read.

The normed tokens and the activation are computed again in backward.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..common import map_rows, per_token, rows
from .gelu import gelu_with_grad_op
from .layer_norm import layer_norm_backward, layer_norm_op, norm_dtype
from .norm_qkv import linear_grads, parameter_grads


def norm_mlp(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    factor: Tensor | None,
) -> tuple[Tensor, ...]:
    """Return ``x + factor * mlp(layer_norm(x))`` of each tensor; see ``reference.norm_mlp``."""
    factors = [] if factor is None else [tuple(per_token(factor, x) for x in tokens)]

    def run(x: Tensor, factor: Tensor | None = None) -> Tensor:
        return NormMlp.apply(x.contiguous(), gamma, beta, eps, *weights, *biases, factor)

    return map_rows(run, tokens, *factors)


class NormMlp(torch.autograd.Function):
    """``x + factor * mlp(layer_norm(x))``; keeps ``x``, the norm's statistics and the hidden values."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, w1, w2, b1, b2, factor):
        dtype = norm_dtype(x)
        normed, mean, rstd = layer_norm_op(x, gamma, beta, eps, dtype)
        hidden = F.linear(normed, w1.to(dtype), b1.to(dtype))
        out = F.linear(F.gelu(hidden), w2.to(dtype), b2.to(dtype))
        ctx.save_for_backward(x, mean, rstd, hidden, gamma, beta, w1, w2, b1, b2, factor)
        ctx.eps, ctx.dtype = eps, dtype
        return x + out if factor is None else torch.addcmul(x, out, factor)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out):
        x, mean, rstd, hidden, gamma, beta, w1, w2, b1, b2, factor = ctx.saved_tensors
        grad = d_out if factor is None else d_out * factor
        grad = grad.to(ctx.dtype).contiguous()
        d_activation = (rows(grad) @ w2.to(ctx.dtype)).view(hidden.shape)
        activation, d_hidden = gelu_with_grad_op(hidden, d_activation)
        d_w2, d_b2 = parameter_grads(grad, activation, w2, b2)
        del activation, d_activation
        normed = layer_norm_op(x, gamma, beta, ctx.eps, ctx.dtype)[0]
        d_normed, d_w1, d_b1 = linear_grads(d_hidden, normed, w1, b1)
        d_norm = layer_norm_backward(d_normed, d_out, x, mean, rstd, gamma)
        return *d_norm, None, d_w1, d_w2, d_b1, d_b2, None
