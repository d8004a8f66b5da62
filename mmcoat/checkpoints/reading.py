"""Open checkpoint files without running code from them."""

import argparse
import importlib
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import Tensor

from .errors import CheckpointError
from .fetching import fetch, is_remote
from .published import SCHEME, SITE

_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'uint8', 'bool')
_STATISTICS = ('min', 'max', 'current', 'mean')


def _history_statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr``, by which MMEngine's HistoryBuffer pickles references to its own methods.

    The real ``getattr`` would lead a file to anything, by way of ``__self__`` or ``__globals__``.
    """
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'it asks for the attribute {name!r} of {owner!r}')


def allow_safe_globals() -> None:
    """Let PyTorch's restricted unpickler build what official and MMEngine files hold beside tensors.

    Official files hold an ``argparse.Namespace``; MMEngine's training state holds ``HistoryBuffer`` and
    numpy arrays and scalars, which MMEngine 0.10.7 cannot read back under torch >= 2.6 without this.
    None of these runs code when it is built. numpy's two are allowed under the names of numpy 1 and 2.
    """
    core = 'numpy._core' if np.lib.NumpyVersion(np.__version__) >= '2.0.0' else 'numpy.core'
    multiarray = importlib.import_module(f'{core}.multiarray')
    numpys = [
        (function, f'{name}.multiarray.{function.__name__}')
        for function in (multiarray._reconstruct, multiarray.scalar)
        for name in ('numpy.core', 'numpy._core')
    ]
    dtypes = {type(np.dtype(name)) for name in _DTYPES}
    torch.serialization.add_safe_globals(
        [
            argparse.Namespace,
            HistoryBuffer,
            (_history_statistic, 'builtins.getattr'),
            *numpys,
            np.ndarray,
            np.dtype,
            *dtypes,
        ]
    )


def read_checkpoint(source: str | Path) -> dict[str, Any]:
    """Read a file, URL or ``mmcoat://`` name into CPU memory; nothing in it can run code.

    Args:
        source: A ``.pth`` (PyTorch) or ``.safetensors`` file, an http(s) URL or ``mmcoat://NAME``; the last
            two are fetched into PyTorch's hub cache.

    Raises:
        CheckpointError: Missing, damaged, holding other objects than weights, or not to be fetched.
    """
    path = fetch(str(source)) if is_remote(source) else Path(source).expanduser()
    if path.is_dir():
        raise CheckpointError(f'checkpoint {path} is a folder, not a file')
    if not path.is_file():
        raise CheckpointError(f'checkpoint {path} does not exist')
    if path.stat().st_size == 0:
        raise CheckpointError(f'checkpoint {path} is empty')
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    checkpoint = _read_torch(path)
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'checkpoint {path} holds a {type(checkpoint).__name__}, no weights')
    return dict(checkpoint)


def _read_torch(path: Path) -> Any:
    # Each time: MMEngine's own loading takes some of these away from the process-wide list again.
    allow_safe_globals()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of old formats, which are read all the same
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'checkpoint {path} is refused: it is damaged, or holds objects other than weights, '
            f'which could run code ({_refusal(str(error))})'
        ) from None
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        if not zipfile.is_zipfile(path) and tarfile.is_tarfile(path):
            raise CheckpointError(
                f'checkpoint {path} has the tar form of PyTorch 0.1, which cannot be read without '
                'running code from it; save it again with a PyTorch of its time'
            ) from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f'checkpoint {path} is damaged or incomplete ({reason})') from None


def _refusal(message: str) -> str:
    """Return the line of PyTorch's message that names the object, not its advice to open the file anyway."""
    _, _, reason = message.partition('WeightsUnpickler error:')
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    advice = ('Weights only load failed', 'Please file', 'Check the documentation')
    lines = reason.strip().splitlines() or [line for line in lines if not line.startswith(advice)]
    return lines[0].strip() if lines else 'no reason given'


def ensure_safe(source: str | Path) -> str:
    """Return the local path of a checkpoint that is safe for any loader to open.

    MMEngine of the OneDL line opens a file with all its code when the safe way fails. The tools ask this
    function first, for ``load_from``, ``resume`` and the checkpoint to test.

    Args:
        source: File, URL or ``mmcoat://NAME``; what is remote is fetched.

    Raises:
        CheckpointError: As :func:`read_checkpoint`.
    """
    path = fetch(str(source)) if is_remote(source) else Path(source).expanduser()
    read_checkpoint(path)
    return str(path)


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
        raise CheckpointError(
            f'no weights in this checkpoint, only {sorted(map(str, checkpoint))[:10]}'
        )
    return weights


def register_with_mmengine() -> None:
    """Make ``mmcoat://NAME`` and the official URLs work wherever MMEngine loads a checkpoint."""
    CheckpointLoader.register_scheme((SCHEME, SITE), load_from_mmcoat, force=True)


def load_from_mmcoat(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a published file for MMEngine; its name follows MMEngine's own loaders.

    Tensors come in CPU memory, whatever ``map_location`` says: loading copies them to the model's device.
    """
    return read_checkpoint(filename)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise CheckpointError(
            f'{path} needs the safetensors package: pip install safetensors'
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f'checkpoint {path} is damaged or incomplete ({error})') from None
