"""The plain form: PyTorch operations only, with few passes over memory and little kept for backward.

Its functions have the signatures of ``mmcoat.ops.reference``.
"""

from .attention import conv_attention
from .exchange import scale_exchange
from .linear import linear_add
from .mlp import norm_mlp
from .position import conv_pos_enc
from .qkv import norm_qkv

__all__ = [
    'conv_attention',
    'conv_pos_enc',
    'linear_add',
    'norm_mlp',
    'norm_qkv',
    'scale_exchange',
]
