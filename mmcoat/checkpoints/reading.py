"""Open checkpoint files without running code from them."""

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or does not fit."""


def allow_safe_globals() -> None:
    """Let PyTorch's restricted unpickler build what official and MMEngine files hold beside tensors.

    Official files hold an ``argparse.Namespace``; MMEngine's training state holds ``HistoryBuffer`` and
    numpy arrays and scalars, which MMEngine 0.10.7 cannot read back under torch >= 2.6 without this.
    None of these runs code when it is built.
    """
    from mmengine.logging.history_buffer import HistoryBuffer

    core = np._core if hasattr(np, '_core') else np.core
    dtypes = {type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'int32', 'bool')}
    torch.serialization.add_safe_globals(
        [
            argparse.Namespace,
            HistoryBuffer,
            core.multiarray._reconstruct,
            core.multiarray.scalar,
            np.ndarray,
            np.dtype,
            *dtypes,
        ]
    )


def read_checkpoint(source: str | Path) -> dict[str, Any]:
    """Read a file or URL into CPU memory; nothing in it can run code.

    Args:
        source: A ``.pth`` (PyTorch) or ``.safetensors`` file, or an http(s) URL, which is fetched into
            PyTorch's hub cache.

    Raises:
        CheckpointError: Missing, damaged, holding other objects than weights, or not to be fetched.
    """
    path = Path(_fetch(str(source))) if _is_url(source) else Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f'checkpoint {path} does not exist')
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f'checkpoint {path} is refused: it is damaged, or holds objects other than weights, '
            f'which could run code ({reason})'
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f'checkpoint {path} is damaged or incomplete ({reason})') from None
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'checkpoint {path} holds a {type(checkpoint).__name__}, no weights')
    return dict(checkpoint)


def find_state_dict(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint: under 'state_dict', 'model', or the whole of it.

    Raises:
        CheckpointError: There are no tensors in it.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
            break
    weights = {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}
    if not weights:
        raise CheckpointError(f'no weights in this checkpoint, only {sorted(checkpoint)[:10]}')
    return weights


def _is_url(source: str | Path) -> bool:
    return str(source).startswith(('http://', 'https://'))


def _fetch(url: str) -> str:
    """Return the local path of ``url``, from the hub cache or the network."""
    cache = Path(torch.hub.get_dir()) / 'checkpoints' / url.rsplit('/', 1)[-1]
    if not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(cache), _hash_prefix(cache.name))
        except (OSError, RuntimeError) as error:
            raise CheckpointError(
                f'cannot fetch {url} ({error}); place the file at {cache} by hand'
            ) from None
    return str(cache)


def _hash_prefix(name: str) -> str | None:
    match = torch.hub.HASH_REGEX.search(name)
    return match.group(1) if match else None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise CheckpointError(f'{path} needs the safetensors package: pip install safetensors') from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f'checkpoint {path} is damaged or incomplete ({error})') from None
