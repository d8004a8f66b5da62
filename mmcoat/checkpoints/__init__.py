"""Weights: the names of the published files, fetching, safe reading, strict loading, conversion.

``published`` lists the authors' files, ``fetch`` brings them into PyTorch's hub cache, ``files`` opens
files without running code from them, ``names`` translates official, timm and MMDetection 2.x parameter
names, ``load`` puts weights into a backbone and refuses what does not fit, ``convert`` and ``publish``
write files.
"""

from .errors import CheckpointError
from .fetch import fetch
from .files import (
    allow_safe_globals,
    ensure_safe,
    find_state_dict,
    read_checkpoint,
    register_with_mmengine,
)
from .load import load_backbone
from .names import convert_in_place, guess_arch, own_state_dict
from .published import Published, find_published
from .published import list_published as list  # noqa: A004  mmcoat.checkpoints.list()
from .whole_models import classifier_in_place, unwrap_in_place

allow_safe_globals()
register_with_mmengine()

__all__ = [
    'CheckpointError',
    'Published',
    'classifier_in_place',
    'convert_in_place',
    'ensure_safe',
    'fetch',
    'find_published',
    'find_state_dict',
    'guess_arch',
    'list',
    'load_backbone',
    'own_state_dict',
    'read_checkpoint',
    'unwrap_in_place',
]
