"""Norm and MLP: PyTorch's products behind the fused norm, and GELU with its gradient from one reading.

The normed tokens and the activation are computed again in backward.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..common import map_rows, rows
from .gelu import gelu_with_grad_op
from .layer_norm import add_norm_op, grad_of_norm, norm_dtype
from .norm_qkv import linear_grads, parameter_grads


def norm_mlp(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    residual: bool,
) -> tuple[Tensor, ...]:
    """Return ``mlp(layer_norm(x))`` of each tensor, plus ``x``; see ``reference.norm_mlp``."""

    def run(x: Tensor) -> Tensor:
        return NormMlp.apply(x.contiguous(), gamma, beta, eps, *weights, *biases, residual)

    return map_rows(run, tokens)


class NormMlp(torch.autograd.Function):
    """``mlp(layer_norm(x))``, plus ``x``; keeps ``x``, the norm's statistics and the hidden values."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, w1, w2, b1, b2, residual):
        dtype = norm_dtype(x)
        _, normed, mean, rstd = add_norm_op(x, None, gamma, beta, eps, dtype)
        hidden = F.linear(normed, w1.to(dtype), b1.to(dtype))
        out = F.linear(F.gelu(hidden), w2.to(dtype), b2.to(dtype))
        ctx.save_for_backward(x, mean, rstd, hidden, gamma, beta, w1, w2, b1, b2)
        ctx.eps, ctx.dtype, ctx.residual = eps, dtype, residual
        return x + out if residual else out

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out):
        x, mean, rstd, hidden, gamma, beta, w1, w2, b1, b2 = ctx.saved_tensors
        grad = d_out.to(ctx.dtype).contiguous()
        d_activation = (rows(grad) @ w2.to(ctx.dtype)).view(hidden.shape)
        activation, d_hidden = gelu_with_grad_op(hidden, d_activation)
        d_w2, d_b2 = parameter_grads(grad, activation, w2, b2)
        del activation, d_activation
        normed = add_norm_op(x, None, gamma, beta, ctx.eps, ctx.dtype)[1]
        d_normed, d_w1, d_b1 = linear_grads(d_hidden, normed, w1, b1)
        d_total = d_out.contiguous() if ctx.residual else None
        d_norm = grad_of_norm(d_total, d_normed, x, mean, rstd, gamma)
        return *d_norm, None, d_w1, d_w2, d_b1, d_b2, None
