"""Deformable DETR that loads the official files; MMDetection is imported when one is built."""

from functools import lru_cache
from typing import Any

from torch import nn

from mmcoat.checkpoints.deformable_detr import convert_deformable_detr
from mmcoat.registry import MODELS


@lru_cache
def deformable_detr_class() -> type[nn.Module]:
    """Return MMDetection's Deformable DETR with a translation of official files.

    Raises:
        ImportError: MMDetection is not installed.
    """
    from mmdet.models.detectors import DeformableDETR as MMDetDeformableDETR

    class DeformableDETR(MMDetDeformableDETR):
        """MMDetection's, which also takes the official files wherever weights are loaded."""

        def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
            convert_deformable_detr(state_dict, prefix, self)
            super()._load_from_state_dict(state_dict, prefix, *args)

    return DeformableDETR


# A function and no class: mmcoat must import without MMDetection, and quickly.
@MODELS.register_module(name='DeformableDETR')
def build_deformable_detr(**settings: Any) -> nn.Module:
    """Build a Deformable DETR from the settings of MMDetection's class of that name."""
    return deformable_detr_class()(**settings)
