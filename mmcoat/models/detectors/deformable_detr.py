"""Deformable DETR that loads the official files; building it imports MMDetection."""

from functools import lru_cache
from typing import Any

from torch import nn

from mmcoat.checkpoints.deformable_detr import convert_deformable_detr
from mmcoat.registry import MODELS


@lru_cache
def deformable_detr_class() -> type[nn.Module]:
    """Return a subclass of MMDetection's Deformable DETR that translates official files.

    Raises:
        ImportError: MMDetection is not installed.
    """
    from mmdet.models.detectors import DeformableDETR as MMDetDeformableDETR

    class DeformableDETR(MMDetDeformableDETR):
        """MMDetection's Deformable DETR, which also accepts official files wherever weights are loaded."""

        def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
            convert_deformable_detr(state_dict, prefix, self)
            super()._load_from_state_dict(state_dict, prefix, *args)

    return DeformableDETR


# A function instead of a class, so that mmcoat can be imported without MMDetection, and quickly.
@MODELS.register_module(name='DeformableDETR')
def build_deformable_detr(**settings: Any) -> nn.Module:
    """Build a Deformable DETR; the settings are those of MMDetection's ``DeformableDETR``."""
    return deformable_detr_class()(**settings)
