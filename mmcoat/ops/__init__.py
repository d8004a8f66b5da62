"""The operations that CoaT's blocks are made of; one file each, the plain PyTorch form first."""

from .conv_pos_enc import conv_pos_enc
from .conv_rel_pos_enc import conv_rel_pos_enc
from .factorized_attention import factorized_attention
from .scale_exchange import scale_exchange

__all__ = ['conv_pos_enc', 'conv_rel_pos_enc', 'factorized_attention', 'scale_exchange']
