"""Matrix products within each head, on tokens whose heads are side by side in the channels.

There are two ways: a product per head, or one product over all channels with a block-diagonal matrix. The
second needs ``heads`` times the arithmetic, but is faster if heads are too narrow to fill the processor.
"""

import torch
from torch import Tensor

from ..processor import HAS_AMX

# Largest head width for which one product over all channels is faster, measured on CPU: with AMX in reduced
# precision, and with AVX-512 alone in any precision.
_WIDEST_DENSE_AMX = 40
_WIDEST_DENSE = 8
_LOW = (torch.bfloat16, torch.float16)


def _dense(x: Tensor, num_heads: int) -> bool:
    matrix_units = x.dtype in _LOW and (x.device.type != 'cpu' or HAS_AMX)
    widest = _WIDEST_DENSE_AMX if matrix_units else _WIDEST_DENSE
    return x.shape[-1] // num_heads <= widest


def split(x: Tensor, num_heads: int) -> Tensor:
    """(B, N, C) -> (B, heads, N, C / heads), a view."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def contract(a: Tensor, b: Tensor, num_heads: int) -> Tensor:
    """Return ``a^T b`` of each head: two (B, N, C) -> (B, heads, C / heads, C / heads)."""
    if not _dense(a, num_heads):
        if a.dtype in _LOW and _eager_cpu(a):
            return torch.stack(
                [_contract_slices(x, y, num_heads) for x, y in zip(a, b, strict=True)]
            )
        return _per_sample(split(a, num_heads).transpose(-1, -2), split(b, num_heads))
    # (B, C, C); only the diagonal blocks are used
    if _eager_cpu(a):
        full = torch.stack([x.t() @ y for x, y in zip(a, b, strict=True)])
    else:
        full = a.transpose(1, 2) @ b
    blocks = full.unflatten(2, (num_heads, -1)).unflatten(1, (num_heads, -1))
    # (B, heads, Ch, heads, Ch) -> (B, Ch, Ch, heads) -> (B, heads, Ch, Ch)
    return blocks.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)


def _eager_cpu(x: Tensor) -> bool:
    return x.device.type == 'cpu' and not torch.compiler.is_compiling()


def _contract_slices(a: Tensor, b: Tensor, num_heads: int) -> Tensor:
    """Twice (N, C) -> (heads, C / heads, C / heads), without the copies that a batched product makes."""
    width = a.shape[-1] // num_heads
    return torch.stack(
        [x.t() @ y for x, y in zip(a.split(width, 1), b.split(width, 1), strict=True)]
    )


def apply(x: Tensor, matrix: Tensor) -> Tensor:
    """Return each head of ``x`` times its matrix.

    Args:
        x: (B, N, C).
        matrix: (B, heads, C / heads, C / heads).

    Returns:
        (B, N, C).
    """
    batch, num_heads = matrix.shape[:2]
    if _dense(x, num_heads):
        same = torch.eye(num_heads, dtype=matrix.dtype, device=matrix.device)
        # (B, heads, Ch, 1, Ch) * (heads, 1, heads, 1) -> (B, C, C), block-diagonal
        blocks = matrix.unsqueeze(3) * same[:, None, :, None]
        return x @ blocks.reshape(batch, x.shape[-1], x.shape[-1])
    if x.device.type == 'cpu' and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
        out = x.new_empty(x.shape)  # dense, whatever the strides of x
        for a, b, o in zip(split(x, num_heads), matrix, split(out, num_heads), strict=True):
            torch.bmm(a, b, out=o)  # written directly to its place between the other heads
        return out
    out = split(x, num_heads) @ matrix
    return out.transpose(1, 2).flatten(2)


def _per_sample(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b`` over (B, heads, ., .); on a CPU sample by sample, which avoids copies of views."""
    if a.device.type != 'cpu' or a.shape[0] == 1:
        return a @ b
    return torch.stack([x @ y for x, y in zip(a, b, strict=True)])
