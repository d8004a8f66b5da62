"""Fused operators for CUDA, written in Triton; the plain twins are one folder up.

Importing this package needs Triton; importing ``mmcoat.ops`` does not.
"""

from .conv_pos_enc import conv_pos_enc, conv_pos_enc_norm
from .layer_norm import add_norm, layer_norm

__all__ = ['add_norm', 'conv_pos_enc', 'conv_pos_enc_norm', 'layer_norm']
