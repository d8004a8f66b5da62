"""The exchange between scales, adding up in place where no gradient is wanted."""

import torch
from torch import Tensor

from .. import reference
from ..common import wants_gradient


def scale_exchange(maps: list[Tensor], residuals: list[Tensor] | None = None) -> list[Tensor]:
    """Give each scale the sum of all scales, each resized to it, plus its residual.

    See ``reference.scale_exchange``.
    """
    if wants_gradient(*maps, *(residuals or ())) or torch.compiler.is_compiling():
        return reference.scale_exchange(maps, residuals)
    sums = []
    for own, target in enumerate(maps):
        total = target.clone() if residuals is None else residuals[own] + target
        for other, source in enumerate(maps):
            if other != own:
                total += reference.resize(source, target.shape[1:3])
        sums.append(total)
    return sums
