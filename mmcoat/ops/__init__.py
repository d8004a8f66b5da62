"""The operations that CoaT's blocks are made of, in three forms with the same functions.

``reference`` is the mathematics in ordinary PyTorch operations, written to be read; ``plain`` is PyTorch
too, rearranged to be fast and to keep little for the backward pass; ``fused`` is written in Triton, for
CUDA. The last two are tested against the first.
"""

from .backend import BACKENDS, check_backend, fused_available, select
from .conv_pos_enc import conv_pos_enc
from .conv_rel_pos_enc import conv_rel_pos_enc
from .factorized_attention import factorized_attention
from .scale_exchange import scale_exchange

__all__ = [
    'BACKENDS',
    'check_backend',
    'conv_pos_enc',
    'conv_rel_pos_enc',
    'factorized_attention',
    'fused_available',
    'scale_exchange',
    'select',
]
