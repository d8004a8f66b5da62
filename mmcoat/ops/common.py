"""Code that plain and fused operations share: precision under autocast, need for gradients, residual sums."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which matrix products of ``x`` run: autocast's, or its own."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def wants_gradient(*tensors: Tensor) -> bool:
    """Whether autograd records operations, and one of ``tensors`` requires a gradient."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def opaque_wanted(x: Tensor) -> bool:
    """Whether torch.compile should treat a plain operation as opaque: on a CPU, without gradients.

    Inductor would write the wide hidden values of an MLP to memory and read them again, and run bias, GELU
    and sums as separate passes.
    """
    return x.device.type == 'cpu' and not torch.is_grad_enabled()


def no_autocast(x: Tensor) -> AbstractContextManager:
    """Return a context in which operations use their inputs without autocast."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return nullcontext()  # entering autocast's context costs as much as a small operation
    return torch.autocast(device, enabled=False)


def per_token(factor: Tensor, x: Tensor) -> Tensor:
    """(B,) -> (B, ..., 1), a view with one factor for each token of ``x`` (B, ..., C)."""
    return factor.view(-1, *[1] * (x.dim() - 1)).expand(*x.shape[:-1], 1)


def add_branch(x: Tensor, branch: Tensor, factor: Tensor | None) -> Tensor:
    """Return ``x + factor * branch`` in one pass; both (B, ..., C), a factor (B,) for each sample or None."""
    if factor is None:
        return x + branch
    return torch.addcmul(x, branch, per_token(factor, branch))


def add_branches(
    tokens: tuple[Tensor, ...], branches: tuple[Tensor, ...], factor: Tensor | None
) -> tuple[Tensor, ...]:
    """Return ``add_branch`` of each tensor and its branch; all tensors of a sample get the same factor."""
    return tuple(add_branch(x, b, factor) for x, b in zip(tokens, branches, strict=True))


def rows(x: Tensor) -> Tensor:
    """(..., C) -> (N, C), a view of dense tensors."""
    return x.reshape(-1, x.shape[-1])


# Up to this number of rows, one product for class tokens and image tokens together is faster than two:
# reading the weights again for a few rows costs more than copying the rows into one tensor.
JOINED_ROWS = 1024


def few_rows(tokens: tuple[Tensor, ...]) -> bool:
    """Whether ``map_rows`` makes a single call for ``tokens``."""
    return sum(t.numel() for t in tokens) <= JOINED_ROWS * tokens[0].shape[-1]


def map_rows(function: Callable[..., Tensor], *groups: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Call ``function`` on the rows of all tensors of a group at once if there are few rows.

    Args:
        function: Takes one (..., C) tensor per group and returns (..., D), or more dimensions; works row by
            row.
        groups: Tuples of tensors, all of the same length; ``function`` gets one tensor of each.

    Returns:
        The result of ``function`` for each position in the groups.
    """
    first = groups[0]
    if not few_rows(first):
        return tuple(function(*tensors) for tensors in zip(*groups, strict=True))
    out = function(*(torch.cat([rows(t) for t in group]) for group in groups))
    parts = out.split([t.numel() // t.shape[-1] for t in first])
    return tuple(o.view(*t.shape[:-1], *out.shape[1:]) for o, t in zip(parts, first, strict=True))
