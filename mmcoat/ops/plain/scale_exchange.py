"""The exchange between scales; sums are in place if no gradient is needed."""

import torch
from torch import Tensor

from .. import reference
from ..common import wants_gradient


def scale_exchange(
    maps: list[Tensor], residuals: list[Tensor], factors: list[Tensor | None]
) -> list[Tensor]:
    """Give each scale its residual and the sum of all scales; see ``reference.scale_exchange``."""
    scaled = any(factor is not None for factor in factors)
    if scaled or wants_gradient(*maps, *residuals) or torch.compiler.is_compiling():
        return reference.scale_exchange(maps, residuals, factors)
    outs = []
    for own, (target, residual) in enumerate(zip(maps, residuals, strict=True)):
        total = None
        for other, source in enumerate(maps):
            if other != own:
                resized = reference.resize(source, target.shape[1:3])
                total = target + resized if total is None else total.add_(resized)
        # the residual last, because in bfloat16 each sum rounds to the precision of its larger term
        outs.append(residual + (target if total is None else total))
    return outs
