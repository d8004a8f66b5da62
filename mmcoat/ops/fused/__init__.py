"""The fused form: Triton kernels for CUDA, with few passes over memory and little kept for backward.

Its functions have the signatures of ``mmcoat.ops.reference``. Importing this package needs Triton; importing
``mmcoat.ops`` does not.
"""

from .conv_attention import conv_attention
from .conv_pos_enc import conv_pos_enc
from .linear_add import linear_add
from .norm_mlp import norm_mlp
from .norm_qkv import norm_qkv
from .pack_filters import pack_filters
from .scale_exchange import scale_exchange

__all__ = [
    'conv_attention',
    'conv_pos_enc',
    'linear_add',
    'norm_mlp',
    'norm_qkv',
    'pack_filters',
    'scale_exchange',
]
