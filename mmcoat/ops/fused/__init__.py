"""Fused operators for CUDA, written in Triton; the plain twins are one folder up.

Importing this package needs Triton; importing ``mmcoat.ops`` does not. It has all the functions of
``mmcoat.ops.reference``, and some that do more in one pass.
"""

from .conv_attention import conv_attention, conv_attention_packed
from .conv_pos_enc import conv_pos_enc, conv_pos_enc_norm
from .gelu import gelu_with_grad
from .layer_norm import add_norm, layer_norm
from .linear_add import linear_add
from .norm_mlp import norm_mlp
from .norm_qkv import norm_qkv
from .pack_filters import PackedFilters, pack_filters
from .scale_exchange import scale_exchange

__all__ = [
    'PackedFilters',
    'add_norm',
    'conv_attention',
    'conv_attention_packed',
    'conv_pos_enc',
    'conv_pos_enc_norm',
    'gelu_with_grad',
    'layer_norm',
    'linear_add',
    'norm_mlp',
    'norm_qkv',
    'pack_filters',
    'scale_exchange',
]
