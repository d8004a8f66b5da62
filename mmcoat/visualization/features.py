"""Feature maps as colours: the first three principal components of the tokens of a scale."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmcoat.models.backbones.coat import CoaT
from mmcoat.models.backbones.taps import capture

from .subject import backbone_of, block_names, check_stage, run, stride_of


@dataclass(frozen=True)
class Features:
    """The map of a scale, and its colours.

    Attributes:
        stage: Stage, from 0.
        map: (C, h, w).
        colours: The first three principal components as red, green and blue, (h, w, 3), from 0 to 1.
        explained: Share of the variance that each of the three explains, (3,).
    """

    stage: int
    map: Tensor
    colours: Tensor
    explained: Tensor

    @property
    def stride(self) -> int:
        """Side in pixels of the area of one position."""
        return stride_of(self.stage)


def feature_colours(model: nn.Module, inputs: Tensor, stage: int | None = None) -> list[Features]:
    """Return the last map of each scale, and its principal components as colours.

    Args:
        model: A model with a CoaT backbone, or the backbone.
        inputs: One image as the backbone takes it, (1, C, H, W).
        stage: Only this one, from 0.

    Raises:
        UsageError: There is no such stage.
    """
    backbone = backbone_of(model)
    every = range(backbone._last_stage())
    stages = every if stage is None else [check_stage(backbone, stage)]
    names = {i: last_map(backbone, i) for i in stages}
    with capture(backbone, list(names.values())) as maps, torch.no_grad():
        run(backbone, inputs)
    return [_colour(i, maps[name][0]) for i, name in names.items()]


def last_map(backbone: CoaT, stage: int) -> str:
    """Return the name of a stage's last map, which is after the parallel blocks if the stage is in them."""
    blocks = block_names(backbone, stage)
    if blocks and blocks[-1].startswith('p'):
        return f'parallel_blocks.{blocks[-1][1:]}.branches.{stage}'
    return f'stages.{stage}'


def _colour(stage: int, features: Tensor) -> Features:
    colours, explained = principal_colours(features)
    return Features(stage, features, colours, explained)


def principal_colours(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the colours (h, w, 3) of a map (C, h, w), and the share of its variance in each of the three.

    Each component is scaled so that its 1st to 99th percentile fills the range from 0 to 1. The sign of a
    component is arbitrary; it is chosen so that the largest weight is positive.
    """
    tokens = features.flatten(1).T.double()  # (C, h, w) -> (N, C)
    tokens = tokens - tokens.mean(0)
    values, directions = torch.linalg.eigh(tokens.T @ tokens)  # ascending
    count = min(3, len(values))
    directions = directions[:, -count:].flip(1)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    parts = tokens @ (directions * largest.sign())  # (N, 3)
    low, high = (torch.quantile(parts, q, dim=0) for q in (0.01, 0.99))
    parts = ((parts - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    explained = values[-count:].flip(0) / values.sum().clamp_min(1e-12)
    missing = 3 - count
    parts = torch.nn.functional.pad(parts, (0, missing))
    colours = parts.unflatten(0, features.shape[1:]).to(features.dtype)
    return colours, torch.nn.functional.pad(explained, (0, missing)).to(features.dtype)
