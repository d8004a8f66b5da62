"""Parallel blocks: the share that each scale receives from the others (paper section 3.4)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmcoat.errors import UsageError
from mmcoat.models.backbones.taps import capture
from mmcoat.ops.reference import resize

from .subject import backbone_of, run


@dataclass(frozen=True)
class Exchange:
    """The exchange between scales in the parallel blocks.

    Attributes:
        stages: The scales, stages from 0.
        shares: Norm of each giving scale's map after resizing to the taking scale, divided by the sum of
            these norms: (blocks, takers, givers); rows add up to 1.
        norms: For each taker, the norm of each giver's tokens at each position, (blocks, givers, h, w).
    """

    stages: tuple[int, ...]
    shares: Tensor
    norms: tuple[Tensor, ...]

    def taken(self, taker: int, block: int) -> Tensor:
        """Return the share that a scale receives from the others at each position, (h, w), from 0 to 1.

        Args:
            taker: Index among ``stages``.
            block: Parallel block, from 0.
        """
        norms = self.norms[taker][block]
        total = norms.sum(0)
        return (total - norms[taker]) / total.clamp_min(torch.finfo(total.dtype).tiny)


def scale_exchange_shares(model: nn.Module, inputs: Tensor) -> Exchange:
    """Measure the terms of the sum that each scale receives in each parallel block.

    A block adds the attention results of all scales, each resized to the receiving scale. Terms can have
    opposite directions, so a share of norms shows the size of a term, not how much of it remains in the sum.

    Args:
        model: A model with a full CoaT as backbone, or the backbone.
        inputs: One image as the backbone takes it, (1, C, H, W).

    Raises:
        UsageError: The backbone has no parallel blocks, or they do not run.
    """
    backbone = backbone_of(model)
    if not backbone._uses_parallel():
        raise UsageError(
            'no parallel blocks run in this model: only the full CoaT models (tiny, mini, small) exchange'
        )
    stages = backbone.parallel_stages
    names = [
        f'parallel_blocks.{block}.branches.{stage}.attn'
        for block in range(len(backbone.parallel_blocks))
        for stage in stages
    ]
    with capture(backbone, names) as maps, torch.no_grad():
        run(backbone, inputs)
        given = [
            [maps.pop(name) for name in names[i : i + len(stages)]] for i in _starts(names, stages)
        ]
        return _measure(stages, given)


def _starts(names: list[str], stages: tuple[int, ...]) -> range:
    return range(0, len(names), len(stages))


def _measure(stages: tuple[int, ...], given: list[list[Tensor]]) -> Exchange:
    """Return the shares of maps (1, C, h, w), one list of scales per block."""
    shares, norms = [], []
    for taker in range(len(stages)):
        per_block = []
        for maps in given:
            size = maps[taker].shape[-2:]
            terms = [resize(x.permute(0, 2, 3, 1), (size[0], size[1]))[0] for x in maps]
            per_block.append(torch.stack(terms).norm(dim=-1))  # (givers, h, w)
        norms.append(torch.stack(per_block))
        shares.append(norms[-1].square().sum((-2, -1)).sqrt())  # (blocks, givers)
    whole = torch.stack(shares, 1)  # (blocks, takers, givers)
    return Exchange(stages, whole / whole.sum(-1, keepdim=True), tuple(norms))
