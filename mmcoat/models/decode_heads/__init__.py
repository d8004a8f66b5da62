"""mmcoat's decode heads for MMSegmentation; building one imports MMSegmentation."""

from typing import Any

from torch import nn

from mmcoat.registry import MODELS

__all__ = ['build_daformer_head', 'build_mask2former_head', 'build_unet_head']


# Functions instead of classes, so that mmcoat can be imported without MMSegmentation, and quickly.
@MODELS.register_module(name='UNetHead')
def build_unet_head(**settings: Any) -> nn.Module:
    """Build a :class:`~mmcoat.models.decode_heads.unet_head.UNetHead`."""
    from .unet_head import UNetHead

    return UNetHead(**settings)


@MODELS.register_module(name='DAFormerHead')
def build_daformer_head(**settings: Any) -> nn.Module:
    """Build a :class:`~mmcoat.models.decode_heads.daformer_head.DAFormerHead`."""
    from .daformer_head import DAFormerHead

    return DAFormerHead(**settings)


@MODELS.register_module(name='Mask2FormerHead')
def build_mask2former_head(**settings: Any) -> nn.Module:
    """Build a :class:`~mmcoat.models.decode_heads.mask2former_head.Mask2FormerHead`."""
    from .mask2former_head import Mask2FormerHead

    return Mask2FormerHead(**settings)
