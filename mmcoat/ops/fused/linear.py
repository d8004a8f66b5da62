"""Linear layers with the norm before them: PyTorch's matrix products between the fused norms.

Kept for backward are the tokens, the norm's statistics and the hidden values before GELU; the normed tokens
and the activation are computed again. The signatures are those of ``mmcoat.ops.reference``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import reference
from ..plain.common import map_rows, rows
from .gelu import gelu_with_grad_op
from .layer_norm import add_norm_op, grad_of_norm, norm_dtype


def _linear_grads(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias of a linear layer that ran in the dtype of ``x``."""
    d_x = (rows(grad) @ weight.to(grad.dtype)).view(x.shape)
    return d_x, *_parameter_grads(grad, x, weight, bias)


def _parameter_grads(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias of such a layer."""
    d_weight = rows(grad).t() @ rows(x)
    d_bias = rows(grad).sum(0, dtype=torch.promote_types(grad.dtype, bias.dtype))
    return d_weight.to(weight.dtype), d_bias.to(bias.dtype)


class NormLinear(torch.autograd.Function):
    """``linear(layer_norm(x))``; keeps ``x`` and the norm's statistics."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, weight, bias):
        dtype = norm_dtype(x)
        _, normed, mean, rstd = add_norm_op(x, None, gamma, beta, eps, dtype)
        ctx.save_for_backward(x, mean, rstd, gamma, beta, weight, bias)
        ctx.eps, ctx.dtype = eps, dtype
        return F.linear(normed, weight.to(dtype), bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, mean, rstd, gamma, beta, weight, bias = ctx.saved_tensors
        normed = add_norm_op(x, None, gamma, beta, ctx.eps, ctx.dtype)[1]
        d_normed, d_weight, d_bias = _linear_grads(grad, normed, weight, bias)
        d_norm = grad_of_norm(None, d_normed, x, mean, rstd, gamma)
        return *d_norm, None, d_weight, d_bias


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
        d_w2, d_b2 = _parameter_grads(grad, activation, w2, b2)
        del activation, d_activation
        normed = add_norm_op(x, None, gamma, beta, ctx.eps, ctx.dtype)[1]
        d_normed, d_w1, d_b1 = _linear_grads(d_hidden, normed, w1, b1)
        d_total = d_out.contiguous() if ctx.residual else None
        d_norm = grad_of_norm(d_total, d_normed, x, mean, rstd, gamma)
        return *d_norm, None, d_w1, d_w2, d_b1, d_b2, None


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


# A matrix product with a sum behind it: nothing to gain without a product of our own.
linear_add = reference.linear_add
