"""A matrix product followed by a sum; a kernel gains nothing unless it includes the product."""

import torch.nn.functional as F
from torch import Tensor

from ..common import add_branches


def linear_add(
    tokens: tuple[Tensor, ...],
    weight: Tensor,
    bias: Tensor,
    residual: tuple[Tensor, ...] | None,
    factor: Tensor | None,
) -> tuple[Tensor, ...]:
    """Return ``linear(x)`` of each tensor, added to its residual; see ``reference.linear_add``."""
    out = tuple(F.linear(x, weight, bias) for x in tokens)
    return out if residual is None else add_branches(residual, out, factor)
