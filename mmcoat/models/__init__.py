"""mmcoat's models; importing this package registers them."""

from mmcoat.arch import ARCH_ZOO

from .backbones.coat import CoaT
from .data_preprocessors import build_det_data_preprocessor, build_seg_data_preprocessor
from .decode_heads import build_daformer_head, build_unet_head
from .detectors.deformable_detr import build_deformable_detr
from .layers import CPUSyncBN
from .losses import MaskLoss, WeightedCrossEntropy

__all__ = [
    'ARCH_ZOO',
    'CPUSyncBN',
    'CoaT',
    'MaskLoss',
    'WeightedCrossEntropy',
    'build_daformer_head',
    'build_deformable_detr',
    'build_det_data_preprocessor',
    'build_seg_data_preprocessor',
    'build_unet_head',
]
