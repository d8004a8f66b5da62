"""Make a file to give away from a training checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mmcoat.version import __version__

from .files import HOLDERS, check_numbers, find_state_dict, read_checkpoint, write_checkpoint

# What is kept of MMEngine's meta: inferencers need the classes. Its config text and environment hold
# paths of the machine.
META_KEYS = ('dataset_meta', 'epoch', 'iter', 'mmengine_version')
_DROP = object()


def publish(source: str, target: Path, force: bool = False) -> tuple[Path, list[str]]:
    """Strip a checkpoint to its weights and name it by its hash.

    Args:
        source: File of a training, URL or ``mmcoat://NAME``.
        target: File to write; ``x.pth`` becomes ``x-<first 8 hex digits of its SHA-256>.pth``.
        force: Overwrite a file of that name.

    Returns:
        The path, and the keys of the checkpoint that were left out.

    Raises:
        CheckpointError: Unreadable, no weights in it, or the file exists.
    """
    checkpoint = read_checkpoint(source)
    weights = find_state_dict(checkpoint, source)
    check_numbers(weights, source)
    # A tensor that is a view would carry its whole storage along.
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
    """Return ``value`` as plain Python objects, without whatever cannot be."""
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        items = {key: _plain(item) for key, item in value.items() if isinstance(key, str | int)}
        return {key: item for key, item in items.items() if item is not _DROP}
    if isinstance(value, list | tuple):
        return type(value)(item for item in map(_plain, value) if item is not _DROP)
    return value if value is None or isinstance(value, str | int | float | bool) else _DROP
