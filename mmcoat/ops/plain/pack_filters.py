"""The filters of the relative position encoding as one filter bank, made once for all blocks of a stage."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class PackedFilters(NamedTuple):
    """One filter bank with the largest window; smaller windows are padded with zeros.

    This needs more arithmetic than one convolution per window, but no copies to and from slices.

    Attributes:
        weight: (C, 1, K, K); gradients flow through it.
        bias: (C,).
        groups: (channels, window) of each original filter bank.
    """

    weight: Tensor
    bias: Tensor
    groups: tuple[tuple[int, int], ...]


def pack_filters(weights: list[Tensor], biases: list[Tensor], num_heads: int) -> PackedFilters:
    """Merge the filters of all windows; see ``reference.pack_filters``."""
    largest = max(weight.shape[-1] for weight in weights)
    framed = [F.pad(weight, [(largest - weight.shape[-1]) // 2] * 4) for weight in weights]
    groups = tuple((weight.shape[0], weight.shape[-1]) for weight in weights)
    return PackedFilters(torch.cat(framed), torch.cat(list(biases)), groups)
