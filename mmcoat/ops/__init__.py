"""The operations of CoaT's blocks, in three forms with the same functions.

``reference`` is the mathematics in ordinary PyTorch operations, written for readability. ``plain`` is also
PyTorch, rearranged to be fast and to keep little memory for the backward pass. ``fused`` is written in
Triton, for CUDA. The last two are tested against the first. An operation has the same name as a function and
as a file.
"""

from . import plain
from .backend import BACKENDS, check_backend, fused_available, select
from .common import add_branch, add_branches
from .plain.linear_add import packed
from .plain.norm_qkv import pack_qkv

__all__ = [
    'BACKENDS',
    'add_branch',
    'add_branches',
    'check_backend',
    'fused_available',
    'pack_qkv',
    'packed',
    'plain',
    'select',
]
