"""Turn a training checkpoint into a file to publish."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mmcoat.version import __version__

from .files import HOLDERS, check_numbers, find_state_dict, read_checkpoint, write_checkpoint

# The part of MMEngine's meta that is kept: inferencers need the classes. Its config text and environment
# contain paths of this machine, so they are left out.
META_KEYS = ('dataset_meta', 'epoch', 'iter', 'mmengine_version')
_DROP = object()


def publish(source: str, target: Path, force: bool = False) -> tuple[Path, list[str]]:
    """Strip a checkpoint to its weights and name it by its hash.

    Args:
        source: Checkpoint file, URL or ``mmcoat://NAME``.
        target: File to write; ``x.pth`` becomes ``x-<first 8 hex digits of its SHA-256>.pth``.
        force: Overwrite an existing file of that name.

    Returns:
        The path, and the keys of the checkpoint that were left out.

    Raises:
        CheckpointError: The source cannot be read or has no weights, or the target exists.
    """
    checkpoint = read_checkpoint(source)
    weights = find_state_dict(checkpoint, source)
    check_numbers(weights, source)
    # A tensor that is a view would save its whole storage.
    weights = {key: value.detach().contiguous().clone() for key, value in weights.items()}
    plain = {'state_dict': weights, 'meta': _plain_meta(checkpoint.get('meta'))}
    path = write_checkpoint(plain, target, force, add_hash=True)
    kept = {*HOLDERS, 'meta', *weights}
    return path, [str(key) for key in checkpoint if key not in kept]


def _plain_meta(meta: Any) -> dict[str, Any]:
    meta = meta if isinstance(meta, Mapping) else {}
    plain = {key: _plain(meta[key]) for key in META_KEYS if key in meta}
    plain = {key: value for key, value in plain.items() if value is not _DROP}
    return {**plain, 'mmcoat_version': __version__}


def _plain(value: Any) -> Any:
    """Return ``value`` as plain Python objects; parts that cannot be converted are left out."""
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        items = {key: _plain(item) for key, item in value.items() if isinstance(key, str | int)}
        return {key: item for key, item in items.items() if item is not _DROP}
    if isinstance(value, list | tuple):
        return type(value)(item for item in map(_plain, value) if item is not _DROP)
    return value if value is None or isinstance(value, str | int | float | bool) else _DROP
