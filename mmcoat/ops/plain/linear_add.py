"""Linear layers without separate passes for bias, GELU and residual, if the library allows it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import processor, reference
from ..common import (
    compute_dtype,
    map_rows,
    no_autocast,
    opaque_wanted,
    per_token,
    rows,
    wants_gradient,
)

_ONEDNN_DTYPES = (torch.float32, torch.bfloat16)


def _onednn_runs(x: Tensor) -> bool:
    """Whether oneDNN's linear operator, which Inductor uses too, accepts ``x`` and pays.

    Without AVX-512 it refuses bfloat16, its GELU takes four times as long as PyTorch's, and its products are
    no faster than PyTorch's own.
    """
    return (
        processor.HAS_AVX512
        and x.device.type == 'cpu'
        and x.dtype in _ONEDNN_DTYPES
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, '_linear_pointwise')
        and not torch.compiler.is_compiling()
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None = None) -> Tensor:
    """Return ``linear(x)`` without autograd, plus ``residual``.

    PyTorch's own linear first copies the bias into the result, and the sum is a separate pass. oneDNN adds
    both while the result is in registers. Without it, the product is added to the sum of both where this
    rounds no earlier: not in reduced precision.

    Args:
        x: (..., C).
        weight: (D, C), in the dtype of ``x``.
        bias: (D,), in the dtype of ``x``.
        residual: (..., D), or None.

    Returns:
        (..., D).
    """
    onednn, same = _onednn_runs(x), residual is not None and residual.dtype == x.dtype
    if same and onednn:
        op = torch.ops.mkldnn._linear_pointwise.binary
        return op(x, residual.contiguous(), weight, bias, 'add')
    if same and x.dtype in (torch.float32, torch.float64):
        out = rows(residual) + bias
        return out.addmm_(rows(x), weight.t()).view(residual.shape)
    out = _onednn_linear(x, weight, bias, 'none') if onednn else F.linear(x, weight, bias)
    return out if residual is None else out + residual


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return GELU (exact, with erf) of ``linear(x)`` without autograd; see ``linear``."""
    if _onednn_runs(x):
        return _onednn_linear(x, weight, bias, 'gelu')
    return torch.ops.aten.gelu_(F.linear(x, weight, bias))


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor, then: str) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], 'none')


@torch.library.custom_op('mmcoat::plain_linear', mutates_args=())
def opaque_linear(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None) -> Tensor:
    """``linear`` in a form for torch.compile."""
    return linear(x, weight, bias, residual=residual)


@opaque_linear.register_fake
def _(x, weight, bias, residual):
    dtype = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    return x.new_empty((*x.shape[:-1], weight.shape[0]), dtype=dtype)


# The library packs for a number of rows; from 256 rows on, the result is the same.
_PACKED_FOR_ROWS = 1024


def packed(weight: Tensor) -> Tensor:
    """Return ``weight`` in the layout that products prefer, for several calls of ``linear`` on a CPU.

    For a single call this is not worth it, because the call itself converts the weights in the same time.
    """
    if weight.is_mkldnn or weight.device.type != 'cpu':
        return weight
    if not _onednn_runs(weight):
        # PyTorch's products in reduced precision round differently for another layout
        return weight.t().contiguous().t() if weight.dtype == torch.float32 else weight
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
