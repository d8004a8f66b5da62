"""Weights: reading files safely, the names of the published ones, and strict loading.

``formats`` translates official, timm and MMDetection 2.x parameter names, ``reading`` opens files without
running code from them, ``loading`` puts weights into a backbone and refuses what does not fit.
"""

from .formats import convert_in_place, guess_arch, own_state_dict
from .loading import load_backbone
from .reading import CheckpointError, allow_safe_globals, find_state_dict, read_checkpoint

allow_safe_globals()

__all__ = [
    'CheckpointError',
    'convert_in_place',
    'find_state_dict',
    'guess_arch',
    'load_backbone',
    'own_state_dict',
    'read_checkpoint',
]
