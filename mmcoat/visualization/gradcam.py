"""Grad-CAM: where the map of a block supports a class (Selvaraju et al., ICCV 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmcoat.errors import UsageError
from mmcoat.models.backbones.coat import CoaT
from mmcoat.models.backbones.taps import capture

from .features import last_map
from .scores import Score, score_of
from .subject import backbone_of, check_stage, find_block, stride_of


@dataclass(frozen=True)
class GradCam:
    """Where a map supports a class.

    Attributes:
        stage: Stage of the map, from 0.
        name: Name of the map, as in ``tap_names``.
        class_index: The class.
        heat: (h, w), from 0 to 1: the sum of the channels, each times its mean gradient, with negative values
            set to 0, divided by the largest value.
        score: Value of the differentiated score.
        region: Description of the region over which it was summed.
    """

    stage: int
    name: str
    class_index: int
    heat: Tensor
    score: float
    region: str

    @property
    def stride(self) -> int:
        """Side in pixels of the area of one position."""
        return stride_of(self.stage)


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    class_index: int | None = None,
    pixel: Sequence[int] | None = None,
    stage: int | None = None,
    block: int | str | None = None,
    size: tuple[int, int] | None = None,
) -> GradCam:
    """Return where a map supports a class, at one pixel or wherever the class is predicted.

    Args:
        model: A segmentor, detector or classifier of a toolbox, or of ``create_model``, in evaluation mode.
        inputs: One image as the model takes it after its preprocessor, (1, C, H, W).
        class_index: None takes the class predicted at the pixel, or else the most frequently predicted one.
        pixel: x and y in ``inputs``. A segmentor's score is then that at the pixel, a detector's that of the
            boxes around it. A classifier has no score of a pixel.
        stage: Of the map, from 0; None for the last that the score depends on.
        block: ``0``, ``1``... for serial blocks, ``'p0'``... for parallel ones; None for the last of the
            stage that the score depends on.
        size: Height and width of ``inputs`` without padding.

    Raises:
        UsageError: There is no such class, pixel, stage or block, or the score does not depend on that map.
    """
    backbone = backbone_of(model)
    stage, name = target_map(backbone, stage, block)
    with capture(backbone, [name]) as maps, torch.enable_grad():
        score = score_of(model, inputs, class_index, pixel, size or inputs.shape[-2:])
        features = maps[name]
        grad = None
        if score.value.requires_grad:
            (grad,) = torch.autograd.grad(score.value, features, allow_unused=True)
    if grad is None or not grad.any():  # also all zero if only the class token is read
        raise UsageError(
            f'the score does not depend on the map of {name}: choose an earlier block or stage'
        )
    return _heat(stage, name, score, features.detach()[0], grad[0])


def _heat(stage: int, name: str, score: Score, features: Tensor, grad: Tensor) -> GradCam:
    """Return the result for features and gradients (C, h, w)."""
    heat = torch.einsum('chw,c->hw', features, grad.mean((1, 2))).relu()
    heat = heat / heat.max().clamp_min(torch.finfo(heat.dtype).tiny)
    return GradCam(stage, name, score.class_index, heat, score.value.item(), score.region)


def target_map(backbone: CoaT, stage: int | None = None, block: Any = None) -> tuple[int, str]:
    """Return the stage and the name of the map for Grad-CAM.

    A classifier reads only the class token. The output map of the last block has no influence on it, so the
    input map of the last block that the class token passes is used.

    Args:
        backbone: A CoaT.
        stage: From 0; None for the last.
        block: A block of the stage; None takes the last one that has an influence.

    Raises:
        UsageError: There is no such stage or block.
    """
    stage = check_stage(backbone, stage)
    if block is not None:
        return stage, find_block(backbone, stage, block)[2]
    if backbone.out_type == 'featmap':
        return stage, last_map(backbone, stage)
    if stage in backbone.parallel_stages:
        count = len(backbone.parallel_blocks)
        return (
            stage,
            f'parallel_blocks.{count - 2}.branches.{stage}' if count > 1 else f'stages.{stage}',
        )
    if stage < backbone.num_stages - 1:
        return stage, f'stages.{stage}'
    count = len(backbone.stages[stage].blocks)
    return (
        stage,
        f'stages.{stage}.blocks.{count - 2}' if count > 1 else f'stages.{stage}.patch_embed',
    )
