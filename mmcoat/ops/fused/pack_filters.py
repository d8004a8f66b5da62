"""The filters of the relative position encoding in the kernels' layout: one buffer, channels innermost.

Filters of several windows are stored with the size of the largest; smaller ones are padded with zeros. A
kernel sums over the largest window of its own block of channels, so it reads only few of the zeros.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import tuning
from .kernels.pack_filters import pack_windows_kernel
from .launching import define, launch, wrap_triton


def pack_bytes(numbers: Sequence[int]) -> int:
    """Pack small numbers into one, eight bits each, first one lowest, because kernels take no sequences.

    Raises:
        ValueError: If a number does not fit into eight bits.
    """
    if not all(0 < number < 256 for number in numbers):
        raise ValueError(f'numbers from 1 to 255 expected, got {list(numbers)}')
    return sum(number << (8 * place) for place, number in enumerate(numbers))


@define('pack_windows')
def pack_windows_op(
    params: Tensor, windows: Sequence[int], heads: Sequence[int], head_width: int
) -> Tensor:
    """All filters in the frame of the largest and the biases, (K * K + 1, C) in float32."""
    frame, count = max(windows), sum(heads) * head_width
    packed = params.new_empty((frame * frame + 1, count), dtype=torch.float32)
    launch(
        wrap_triton(pack_windows_kernel),
        frame * frame + 1,
        params,
        packed,
        params.numel() - count,
        frame=frame,
        count=count,
        head_width=head_width,
        windows=pack_bytes(windows),
        heads=pack_bytes(heads),
        groups=len(windows),
        block_c=tuning.power_of_2(count),
        num_warps=4,
    )
    return packed


class PackedFilters(NamedTuple):
    """Filters and biases of several windows, ready for the kernels.

    Attributes:
        params: All filters, then all biases, concatenated; gradients flow through it.
        packed: The same, ordered for the kernels, (K * K + 1, C).
        windows: Windows of the groups of heads.
        heads: Numbers of heads of the groups.
    """

    params: Tensor
    packed: Tensor
    windows: list[int]
    heads: list[int]


def pack_filters(
    weights: Sequence[Tensor], biases: Sequence[Tensor], num_heads: int
) -> PackedFilters:
    """Pack the filters of a stage for all its blocks, two launches; see ``reference.pack_filters``.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    shapes = [tuple(w.shape) for w in weights]
    head_width, rest = divmod(sum(shape[0] for shape in shapes), num_heads)
    good = all(
        len(shape) == 4 and shape[0] % head_width == 0 and shape[2] == shape[3] and shape[3] % 2
        for shape in shapes
    )
    if rest or not good or [tuple(b.shape) for b in biases] != [shape[:1] for shape in shapes]:
        raise ValueError(
            f'filters (Cw, 1, K, K) with an odd K and biases (Cw,) of whole heads, {num_heads} in all, '
            f'expected, got {shapes} and {[tuple(b.shape) for b in biases]}'
        )
    windows, heads = [shape[3] for shape in shapes], [shape[0] // head_width for shape in shapes]
    params = torch.cat([p.flatten() for p in (*weights, *biases)])
    packed = pack_windows_op(params.detach(), windows, heads, head_width)
    return PackedFilters(params, packed, windows, heads)
