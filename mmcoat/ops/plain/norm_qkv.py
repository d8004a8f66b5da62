"""Norm and the linear layer of queries, keys and values; the normed tokens are recomputed in backward."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import reference
from ..common import (
    compute_dtype,
    few_rows,
    map_rows,
    no_autocast,
    opaque_wanted,
    rows,
    wants_gradient,
)
from .layer_norm import layer_norm, layer_norm_backward
from .linear_add import linear, opaque_linear, packed

# (..., 3, C), or three (..., C), which a CPU reads faster
Qkv = Tensor | tuple[Tensor, Tensor, Tensor]


class PackedQkv(NamedTuple):
    """Weights of queries, keys and values in the library's own order.

    Attributes:
        whole: (3 C, C), for few tokens.
        parts: Three (C, C), for many.
    """

    whole: Tensor
    parts: tuple[Tensor, Tensor, Tensor]


def pack_qkv(weight: Tensor) -> PackedQkv:
    """Return the weight (3 C, C) as ``norm_qkv`` takes it, too, for many calls without gradients."""
    query, key, value = weight.chunk(3)
    return PackedQkv(packed(weight), (packed(query), packed(key), packed(value)))


def norm_qkv(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weight: Tensor | PackedQkv,
    bias: Tensor,
) -> tuple[Qkv, ...]:
    """Return queries, keys and values of the normed tokens; see ``reference.norm_qkv``.

    On a CPU the results for many tokens are three tensors instead of one, in training on any device.
    """
    dtype = compute_dtype(tokens[0])
    if torch.compiler.is_compiling():
        if not opaque_wanted(tokens[0]):  # Inductor itself decides which values to keep
            return reference.norm_qkv(tokens, gamma, beta, eps, weight, bias)
        parts = [part.to(dtype) for part in (*weight.chunk(3), *bias.chunk(3))]
        normed = [layer_norm(x, gamma, beta, eps)[0].to(dtype) for x in tokens]
        return tuple(
            tuple(opaque_linear(x, *pair, None) for pair in zip(parts[:3], parts[3:], strict=True))
            for x in normed
        )
    training = wants_gradient(*tokens, gamma, beta, weight, bias)
    if training and few_rows(tokens):
        norm = gamma, beta, eps
        return map_rows(lambda x: reference.norm_qkv((x,), *norm, weight, bias)[0], tokens)
    with no_autocast(tokens[0]):
        if training:
            return tuple(NormQkv.apply(x, gamma, beta, eps, weight, bias, dtype) for x in tokens)
        if not isinstance(weight, PackedQkv):
            weight = weight.to(dtype)
            weight = PackedQkv(weight, weight.chunk(3))
        bias = bias.to(dtype)

        def run(x: Tensor) -> Qkv:
            normed = layer_norm(x, gamma, beta, eps)[0].to(dtype)
            if x.device.type != 'cpu' or few_rows((x,)):
                return linear(normed, weight.whole, bias).unflatten(-1, (3, -1))
            parts = zip(weight.parts, bias.chunk(3), strict=True)
            return tuple(linear(normed, w, b) for w, b in parts)

        return map_rows(run, tokens)


def unbind(qkv: Qkv) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, each (..., C)."""
    return qkv if isinstance(qkv, tuple) else qkv.unbind(-2)


class NormQkv(torch.autograd.Function):
    """Keep the input and the norm's statistics."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, weight, bias, dtype):
        normed, mean, rstd = layer_norm(x, gamma, beta, eps)
        ctx.save_for_backward(x, gamma, beta, mean, rstd, weight, bias)
        ctx.eps, ctx.dtype = eps, dtype
        normed, parts = normed.to(dtype), (weight.to(dtype).chunk(3), bias.to(dtype).chunk(3))
        return tuple(linear(normed, w, b) for w, b in zip(*parts, strict=True))

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        x, gamma, beta, mean, rstd, weight, bias = ctx.saved_tensors
        grads = [rows(grad) for grad in grads]
        with no_autocast(x):
            grad_weight = grad_bias = None
            if ctx.needs_input_grad[4]:
                normed = rows(layer_norm(x, gamma, beta, ctx.eps)[0]).to(ctx.dtype)
                grad_weight = torch.cat([grad.t() @ normed for grad in grads]).to(weight.dtype)
                grad_bias = torch.cat([grad.sum(0) for grad in grads]).to(bias.dtype)
            parts = weight.to(ctx.dtype).chunk(3)
            grad_normed = grads[0] @ parts[0]
            for grad, part in zip(grads[1:], parts[1:], strict=True):
                grad_normed.addmm_(grad, part)
            norm = layer_norm_backward(grad_normed.view(x.shape), x, mean, rstd, gamma, beta)
        return *norm, None, grad_weight, grad_bias, None
