"""Norm and MLP over chunks of tokens, so that the wide hidden activation stays in the cache."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import reference
from ..common import (
    compute_dtype,
    few_rows,
    map_rows,
    no_autocast,
    opaque_wanted,
    per_token,
    rows,
    wants_gradient,
)
from .layer_norm import layer_norm, layer_norm_backward
from .linear_add import linear, linear_gelu, packed

# Hidden values of one chunk: 4 MiB in float32, measured. Smaller chunks cost more calls, larger ones more
# passes over memory. Reduced precision runs on matrix units, for which large products matter more than the
# cache.
_CHUNK_VALUES = 2**20


def norm_mlp(
    tokens: tuple[Tensor, ...],
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    factor: Tensor | None,
) -> tuple[Tensor, ...]:
    """Return ``x + factor * mlp(layer_norm(x))`` of each tensor; see ``reference.norm_mlp``.

    In training, few tokens are processed as the reference does it, all in one call: where calls cost more
    than arithmetic, nothing is worth computing again.
    """
    dtype = compute_dtype(tokens[0])
    factors = tuple(None if factor is None else per_token(factor, x) for x in tokens)
    if torch.compiler.is_compiling():
        if not opaque_wanted(tokens[0]):
            return reference.norm_mlp(tokens, gamma, beta, eps, weights, biases, factor)
        low = [w.to(dtype) for w in (*weights, *biases)]
        return tuple(
            _opaque_mlp(x, gamma, beta, eps, *low, f) for x, f in zip(tokens, factors, strict=True)
        )
    groups = (tokens,) if factor is None else (tokens, factors)
    training = wants_gradient(*tokens, gamma, beta, *weights, *biases)
    if training and few_rows(tokens):

        def joined(x: Tensor, factor: Tensor | None = None) -> Tensor:
            factor = None if factor is None else factor.flatten()
            return reference.norm_mlp((x,), gamma, beta, eps, weights, biases, factor)[0]

        # not views: FSDP hooks what a block returns, and an in-place sum would lose the hook of a view
        return tuple(x.clone() for x in map_rows(joined, *groups))
    with no_autocast(tokens[0]):
        if training:
            return tuple(
                NormMlp.apply(x, gamma, beta, eps, *weights, *biases, f, dtype)
                for x, f in zip(tokens, factors, strict=True)
            )
        low = [w.to(dtype) for w in (*weights, *biases)]

        def run(x: Tensor, factor: Tensor | None = None) -> Tensor:
            return _infer(x, gamma, beta, eps, *low, factor)

        return map_rows(run, *groups)


def _chunks(x: Tensor, hidden: int, dtype: torch.dtype) -> list[slice]:
    """Return slices of the rows of ``x`` (N, C); one slice of all rows if chunks would not help."""
    count = x.shape[0]
    step = max(256, _CHUNK_VALUES // hidden)
    if x.device.type != 'cpu' or dtype.itemsize < 4 or count < 2 * step:
        return [slice(0, count)]
    step = -(-count // round(count / step))  # equal chunks, or the last could be a single row
    return [slice(start, start + step) for start in range(0, count, step)]


def _infer(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    w1: Tensor,
    w2: Tensor,
    b1: Tensor,
    b2: Tensor,
    factor: Tensor | None,
) -> Tensor:
    """``factor`` is one of each token, (..., 1)."""
    tokens, dtype = rows(x), w1.dtype
    factor = None if factor is None else rows(factor)
    chunks = _chunks(tokens, w1.shape[0], dtype)
    if len(chunks) == 1:
        hidden = linear_gelu(layer_norm(tokens, gamma, beta, eps)[0].to(dtype), w1, b1)
        return _linear_add(hidden, w2, b2, tokens, factor).view(x.shape)
    out = torch.empty_like(tokens)
    w1, w2 = packed(w1), packed(w2)
    for chunk in chunks:
        part = tokens[chunk]
        hidden = linear_gelu(layer_norm(part, gamma, beta, eps)[0], w1, b1)
        out[chunk] = _linear_add(hidden, w2, b2, part, None if factor is None else factor[chunk])
    return out.view(x.shape)


def _linear_add(
    hidden: Tensor, weight: Tensor, bias: Tensor, x: Tensor, factor: Tensor | None
) -> Tensor:
    if factor is None:
        return linear(hidden, weight, bias, residual=x)
    return torch.addcmul(x, linear(hidden, weight, bias), factor)


_opaque_mlp = torch.library.custom_op('mmcoat::plain_norm_mlp', _infer, mutates_args=())


@_opaque_mlp.register_fake
def _(x, gamma, beta, eps, w1, w2, b1, b2, factor):
    return x.new_empty(x.shape, dtype=torch.promote_types(x.dtype, w1.dtype))


class NormMlp(torch.autograd.Function):
    """Keep the input and the hidden values before GELU; for many tokens on a CPU keep only the input.

    There, writing and reading the hidden values takes as long as computing them again.
    """

    @staticmethod
    def forward(ctx, x, gamma, beta, eps, w1, w2, b1, b2, factor, dtype):
        low1, low2, low_b1, low_b2 = (t.to(dtype) for t in (w1, w2, b1, b2))
        hidden = []
        if len(_chunks(rows(x), w1.shape[0], dtype)) > 1:
            out = _infer(x, gamma, beta, eps, low1, low2, low_b1, low_b2, factor)
        else:
            normed = layer_norm(x, gamma, beta, eps)[0].to(dtype)
            hidden = [linear(normed, low1, low_b1)]
            out = _linear_add(F.gelu(hidden[0]), low2, low_b2, x, factor)
        ctx.save_for_backward(x, gamma, beta, w1, w2, b1, b2, factor, *hidden)
        ctx.eps, ctx.dtype = eps, dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, gamma, beta, w1, w2, b1, b2, factor, *hidden = ctx.saved_tensors
        tokens, grad = rows(x), rows(grad)
        factor = None if factor is None else rows(factor)
        with no_autocast(x):
            low = [t.to(ctx.dtype) for t in (w1, w2, b1)]
            grad_x, sums = torch.empty_like(tokens), None
            for chunk in _chunks(tokens, w1.shape[0], ctx.dtype):
                branch = grad[chunk] if factor is None else grad[chunk] * factor[chunk]
                part = tokens[chunk], branch, hidden[0] if hidden else None
                grad_part, *terms = _backward_chunk(*part, gamma, beta, ctx.eps, *low, sums)
                torch.add(grad_part, grad[chunk], out=grad_x[chunk])
                sums = terms
        sums[2] = sums[2].t()  # the gradient of the first weight was transposed so far
        sums = [s.to(t.dtype) for s, t in zip(sums, (gamma, beta, w1, w2, b1, b2), strict=True)]
        return grad_x.view(x.shape), *sums[:2], None, *sums[2:], None, None


def _backward_chunk(part, grad, hidden, gamma, beta, eps, w1, w2, b1, sums):
    """Return the gradients of some tokens and, added to ``sums``, those of the parameters.

    Args:
        part: Tokens, (N, C).
        grad: Gradient of the MLP's output, (N, C).
        hidden: Hidden values before GELU, (N, D); None computes them again.
        gamma, beta, eps: Parameters of the norm.
        w1, w2, b1: Parameters of the MLP, in the dtype of its products.
        sums: The parameters' gradients from the previous call, or None.
    """
    normed, mean, rstd = layer_norm(part, gamma, beta, eps)
    normed, grad = normed.to(w1.dtype), grad.to(w1.dtype)
    own = hidden is None
    hidden = linear(normed, w1, b1) if own else rows(hidden)
    grad_hidden = torch.ops.aten.gelu_backward(grad @ w2, hidden)
    hidden = torch.ops.aten.gelu.out(hidden, out=hidden) if own else F.gelu(hidden)
    norm = layer_norm_backward(grad_hidden @ w1, part, mean, rstd, gamma, beta)
    # the wide matrix is the second factor: up to a quarter faster than the narrow one as second factor
    pairs = (normed, grad_hidden), (grad, hidden)
    total = torch.promote_types(torch.float32, part.dtype)
    small = [t.to(total) for t in (*norm[1:], grad_hidden.sum(0), grad.sum(0))]
    if sums is None:
        products = [a.t() @ b for a, b in pairs]
    else:
        products = [s.addmm_(a.t(), b) for s, (a, b) in zip(sums[2:4], pairs, strict=True)]
        small = [s.add_(t) for s, t in zip((*sums[:2], *sums[4:]), small, strict=True)]
    return norm[0], *small[:2], *products, *small[2:]
