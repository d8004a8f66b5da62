"""The models; importing this package registers them."""

from mmcoat.arch import ARCH_ZOO

from .backbones.coat import CoaT
from .decode_heads import build_daformer_head, build_unet_head
from .detectors.deformable_detr import build_deformable_detr
from .losses import MaskLoss

__all__ = [
    'ARCH_ZOO',
    'CoaT',
    'MaskLoss',
    'build_daformer_head',
    'build_deformable_detr',
    'build_unet_head',
]
