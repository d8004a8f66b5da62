"""Weights: the names of the published files, fetching, safe reading, strict loading, conversion.

``published`` lists the authors' files, ``fetch`` brings them into PyTorch's hub cache. ``files`` reads and
writes checkpoints and knows where weights lie in one; ``safety`` says what a file may hold. ``names``
translates official parameter names to ours and back. ``load`` puts weights into models and refuses what does
not fit; ``deformable_detr`` does the same for that detector. ``convert`` and ``publish`` make new files from
existing ones.
"""

from .errors import CheckpointError
from .fetch import fetch
from .files import (
    check_numbers,
    describe,
    ensure_safe,
    find_state_dict,
    read_checkpoint,
    unwrap_in_place,
)
from .load import classifier_in_place, convert_in_place, load_backbone, load_pretrained
from .names import guess_arch, own_state_dict
from .published import Published, find_published
from .published import list_published as list  # noqa: A004  mmcoat.checkpoints.list()
from .safety import allow_safe_globals, guard_mmengine

allow_safe_globals()
guard_mmengine(read_checkpoint)

__all__ = [
    'CheckpointError',
    'Published',
    'check_numbers',
    'classifier_in_place',
    'convert_in_place',
    'describe',
    'ensure_safe',
    'fetch',
    'find_published',
    'find_state_dict',
    'guess_arch',
    'list',
    'load_backbone',
    'load_pretrained',
    'own_state_dict',
    'read_checkpoint',
    'unwrap_in_place',
]
