"""Linear layers without separate passes for bias, GELU and residual, if the library allows it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import reference
from ..common import (
    compute_dtype,
    map_rows,
    no_autocast,
    opaque_wanted,
    per_token,
    wants_gradient,
)

_ONEDNN_DTYPES = (torch.float32, torch.bfloat16)


def _onednn_runs(x: Tensor) -> bool:
    """Whether oneDNN's linear operator, which Inductor uses too, accepts ``x``."""
    return (
        x.device.type == 'cpu'
        and x.dtype in _ONEDNN_DTYPES
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, '_linear_pointwise')
        and not torch.compiler.is_compiling()
    )


def linear(
    x: Tensor, weight: Tensor, bias: Tensor, gelu: bool = False, residual: Tensor | None = None
) -> Tensor:
    """Return ``linear(x)`` without autograd, then with GELU or plus ``residual``.

    On a CPU, PyTorch's own linear first copies the bias into the result, and GELU and sum are separate
    passes. Here they are computed while the result is in registers.

    Args:
        x: (..., C).
        weight: (D, C), in the dtype of ``x``.
        bias: (D,), in the dtype of ``x``.
        gelu: Whether GELU (exact, with erf) follows.
        residual: (..., D), or None.

    Returns:
        (..., D).
    """
    if not _onednn_runs(x):
        out = F.linear(x, weight, bias)
        out = F.gelu(out) if gelu else out
        return out if residual is None else out + residual
    op = torch.ops.mkldnn._linear_pointwise
    if residual is not None and residual.dtype == x.dtype:
        return op.binary(x, residual.contiguous(), weight, bias, 'add')
    out = op(x, weight, bias, 'gelu' if gelu else 'none', [], 'none')
    return out if residual is None else out + residual


@torch.library.custom_op('mmcoat::plain_linear', mutates_args=())
def opaque_linear(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None) -> Tensor:
    """``linear`` without GELU, in a form for torch.compile."""
    return linear(x, weight, bias, residual=residual)


@opaque_linear.register_fake
def _(x, weight, bias, residual):
    dtype = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    return x.new_empty((*x.shape[:-1], weight.shape[0]), dtype=dtype)


# The library packs for a number of rows; from 256 rows on, the result is the same.
_PACKED_FOR_ROWS = 1024


def packed(weight: Tensor) -> Tensor:
    """Return ``weight`` in the library's own layout, for several calls of ``linear``.

    For a single call this is not worth it, because the call itself converts the weights in the same time.
    """
    if weight.is_mkldnn or not _onednn_runs(weight):
        return weight
    if not hasattr(torch.ops.mkldnn, '_reorder_linear_weight'):
        return weight
    return torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_FOR_ROWS)


def linear_add(
    tokens: tuple[Tensor, ...],
    weight: Tensor,
    bias: Tensor,
    residual: tuple[Tensor, ...] | None,
    factor: Tensor | None,
) -> tuple[Tensor, ...]:
    """Return ``linear(x)`` of each tensor, added to its residual; see ``reference.linear_add``.

    The gradient needs only ``x``, so autograd's own linear is used in training.
    """
    compiling = torch.compiler.is_compiling()
    if compiling and not opaque_wanted(tokens[0]):
        return reference.linear_add(tokens, weight, bias, residual, factor)
    if factor is not None or wants_gradient(*tokens, weight, bias):

        def train(x: Tensor, skip: Tensor | None = None, factor: Tensor | None = None) -> Tensor:
            out = F.linear(x, weight, bias)
            if factor is not None:
                return torch.addcmul(skip, out, factor)
            return out if skip is None else skip + out

        factors = None if factor is None else tuple(per_token(factor, x) for x in tokens)
        groups = (tokens,) if residual is None else (tokens, residual, factors)
        return map_rows(train, *(group for group in groups if group is not None))
    dtype = compute_dtype(tokens[0])
    weight, bias = weight.to(dtype), bias.to(dtype)
    if compiling:
        skips = residual or (None,) * len(tokens)
        pairs = zip(tokens, skips, strict=True)
        return tuple(opaque_linear(x.to(dtype), weight, bias, skip) for x, skip in pairs)

    def run(x: Tensor, skip: Tensor | None = None) -> Tensor:
        return linear(x.to(dtype), weight, bias, residual=skip)

    with no_autocast(tokens[0]):
        return map_rows(run, *(group for group in (tokens, residual) if group is not None))
