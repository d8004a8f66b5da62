"""Norm and MLP over chunks of tokens, so that the wide hidden activation stays in the cache."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import reference
from .common import compute_dtype, map_rows, no_autocast, rows, wants_gradient
from .layer_norm import layer_norm, layer_norm_backward
from .linear import linear, packed

# Hidden values of one chunk: 2 MiB in float32, what a core of a server keeps close. Reduced precision runs
# on matrix units, which want large products more than near memory.
_CHUNK_VALUES = 2**19


def norm_mlp(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    residual: bool,
) -> tuple[Tensor, ...]:
    """Return ``mlp(layer_norm(x))`` of each tensor, plus ``x`` with ``residual``.

    See ``reference.norm_mlp``.
    """
    if torch.compiler.is_compiling():
        return reference.norm_mlp(tokens, gamma, beta, eps, weights, biases, residual)
    dtype = compute_dtype(tokens[0])
    with no_autocast(tokens[0]):
        if wants_gradient(*tokens, gamma, beta, *weights, *biases):
            return tuple(
                NormMlp.apply(x, gamma, beta, eps, *weights, *biases, residual, dtype)
                for x in tokens
            )
        low = [w.to(dtype) for w in (*weights, *biases)]
        return map_rows(lambda x: _infer(x, gamma, beta, eps, *low, residual), tokens)


def _chunks(x: Tensor, hidden: int, dtype: torch.dtype) -> list[slice]:
    """Return slices of the rows of ``x`` (N, C), one for all where chunks would not help."""
    count = x.shape[0]
    step = max(256, _CHUNK_VALUES // hidden)
    if x.device.type != 'cpu' or dtype != torch.float32 or count < 2 * step:
        return [slice(0, count)]
    return [slice(start, start + step) for start in range(0, count, step)]


def _infer(x, gamma, beta, eps, w1, w2, b1, b2, residual):
    tokens, dtype = rows(x), w1.dtype
    chunks = _chunks(tokens, w1.shape[0], dtype)
    if len(chunks) == 1:
        hidden = linear(layer_norm(tokens, gamma, beta, eps)[0].to(dtype), w1, b1, gelu=True)
        return linear(hidden, w2, b2, residual=tokens if residual else None).view(x.shape)
    out, w1 = torch.empty_like(tokens), packed(w1, chunks[0].stop)
    for chunk in chunks:
        part, target = tokens[chunk], out[chunk]
        hidden = linear(layer_norm(part, gamma, beta, eps)[0], w1, b1, gelu=True)
        # the product adds up on residual and bias where the result is to be
        target.copy_(b2.expand_as(part)) if not residual else torch.add(part, b2, out=target)
        target.addmm_(hidden, w2.t())
    return out.view(x.shape)


class NormMlp(torch.autograd.Function):
    """Keeps its input, the norm's statistics, and the hidden values before GELU."""

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, w1, w2, b1, b2, residual, dtype):
        tokens, low = rows(x), [t.to(dtype) for t in (w1, w2, b1, b2)]
        hidden, out, means, rstds = [], [], [], []  # chunk by chunk: no copy into one buffer
        for chunk in _chunks(tokens, w1.shape[0], dtype):
            part = tokens[chunk]
            normed, mean, rstd = layer_norm(part, gamma, beta, eps)
            hidden.append(linear(normed.to(dtype), low[0], low[2]))
            skip = part if residual else None
            out.append(linear(F.gelu(hidden[-1]), low[1], low[3], residual=skip))
            means.append(mean)
            rstds.append(rstd)
        out, mean, rstd = (t[0] if len(t) == 1 else torch.cat(t) for t in (out, means, rstds))
        ctx.save_for_backward(x, gamma, beta, mean, rstd, w1, w2, b1, b2, *hidden)
        ctx.eps, ctx.residual, ctx.dtype = eps, residual, dtype
        return out.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, gamma, beta, mean, rstd, w1, w2, b1, b2, *hiddens = ctx.saved_tensors
        with no_autocast(x):
            tokens, grad = rows(x), rows(grad)
            low1, low2 = w1.to(ctx.dtype), w2.to(ctx.dtype)
            total = torch.promote_types(torch.float32, x.dtype)
            sums = [torch.zeros_like(t, dtype=total) for t in (gamma, beta, b1, b2)]
            # weight gradients add up in the dtype of their product, one chunk being all of it in bfloat16
            sums_w1, sums_w2 = torch.zeros_like(low1), torch.zeros_like(low2)
            grad_x = torch.empty_like(tokens)
            chunks = _chunks(tokens, w1.shape[0], ctx.dtype)
            for chunk, hidden in zip(chunks, hiddens, strict=True):
                part, grad_out = tokens[chunk], grad[chunk].to(ctx.dtype)
                normed = layer_norm(part, gamma, beta, ctx.eps)[0].to(ctx.dtype)
                sums_w2.addmm_(grad_out.t(), F.gelu(hidden))
                grad_hidden = torch.ops.aten.gelu_backward(grad_out @ low2, hidden)
                sums_w1.addmm_(grad_hidden.t(), normed)
                norm_grads = layer_norm_backward(
                    grad_hidden @ low1, part, mean[chunk], rstd[chunk], gamma, beta
                )
                for total, term in zip(
                    sums, (*norm_grads[1:], grad_hidden.sum(0), grad_out.sum(0)), strict=True
                ):
                    total += term
                skip = grad[chunk] if ctx.residual else 0
                torch.add(norm_grads[0], skip, out=grad_x[chunk])
        sums = [total.to(t.dtype) for total, t in zip(sums, (gamma, beta, b1, b2), strict=True)]
        grads_w = sums_w1.to(w1.dtype), sums_w2.to(w2.dtype)
        return grad_x.view(x.shape), *sums[:2], None, *grads_w, *sums[2:], None, None
