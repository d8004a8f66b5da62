"""Open checkpoint files without running code from them."""

import argparse
import functools
import importlib
import os
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import Tensor

from .errors import CheckpointError
from .fetch import fetch, is_remote
from .published import SCHEME, SITE

_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'uint8', 'bool')
UNFOLDED_LIMIT = (
    4  # bytes in a zip's members per byte of the file; PyTorch's own have less than 1.1
)
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
    _check_container(path)
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
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f'checkpoint {path} is damaged or incomplete ({reason})') from None


def _check_container(path: Path) -> None:
    """Refuse what unfolds to far more than the file, damaged bytes, and the tar form.

    PyTorch writes zip files without compression and does not look at their checksums.
    """
    if not zipfile.is_zipfile(path):
        if tarfile.is_tarfile(path):
            raise CheckpointError(
                f'checkpoint {path} has the tar form of PyTorch 0.1, which cannot be read without '
                'running code from it; save it again with a PyTorch of its time'
            )
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(member.file_size for member in archive.infolist())
            if unfolded > UNFOLDED_LIMIT * path.stat().st_size:
                raise CheckpointError(
                    f'checkpoint {path} is refused: its {path.stat().st_size} bytes would unfold to '
                    f'{unfolded}; PyTorch writes files without compression'
                )
            damaged = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can make zipfile fail in any way
        raise CheckpointError(f'checkpoint {path} is damaged or incomplete ({error})') from None
    if damaged is not None:
        raise CheckpointError(
            f'checkpoint {path} is damaged: the checksum of {damaged} in it does not fit'
        )


def _refusal(message: str) -> str:
    """Return the line of PyTorch's message that names the object, not its advice to open the file anyway."""
    _, _, reason = message.partition('WeightsUnpickler error:')
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    advice = ('Weights only load failed', 'Please file', 'Check the documentation')
    lines = reason.strip().splitlines() or [line for line in lines if not line.startswith(advice)]
    return lines[0].strip() if lines else 'no reason given'


def ensure_safe(source: str | Path) -> str:
    """Return the local path of a checkpoint that is safe for any loader to open.

    The tools ask this first, for ``load_from``, ``resume`` and the checkpoint to test, so that a file that is
    refused costs nothing else.

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


def check_numbers(weights: Mapping[str, Any], source: str | Path, only_float: bool = False) -> None:
    """Refuse weights that no training has left behind.

    Args:
        weights: Tensors by name.
        source: Named in the message.
        only_float: Whether counters and indices, which some models keep, are refused as well.

    Raises:
        CheckpointError: A name is no text, or a tensor is sparse, complex, without data, NaN or infinite.
    """
    for key, value in weights.items():
        problem = None
        if not isinstance(key, str):
            problem = 'its name is no text'
        elif value.layout != torch.strided or value.is_complex() or value.is_meta:
            problem = f'it is a tensor of {value.dtype}, {value.layout} on {value.device}'
        elif only_float and not value.is_floating_point():
            problem = f'it holds {value.dtype} instead of floating point numbers'
        elif value.is_floating_point() and not torch.isfinite(value).all():
            problem = 'it holds NaN or infinite values'
        if problem:
            raise CheckpointError(f'{source} is refused: {key!r} in it is not usable, {problem}')


def register_with_mmengine() -> None:
    """Make every road on which MMEngine opens a checkpoint a safe one; ``mmcoat://NAME`` works there, too.

    Files and URLs are read by :func:`read_checkpoint`. Other schemes (``torchvision://``, ``open-mmlab://``,
    those of other packages) keep their loaders, and PyTorch is held to its restricted unpickler meanwhile:
    MMEngine of the OneDL line would open a file with all its code when the restricted way fails.
    """
    prefixes = ('', 'http://', 'https://', SCHEME, SITE)
    CheckpointLoader.register_scheme(prefixes, load_from_mmcoat, force=True)
    original = CheckpointLoader.load_checkpoint
    if getattr(original, 'restricted', False):
        return

    @functools.wraps(original.__func__)
    def load_checkpoint(
        cls: type, filename: str, map_location: Any = None, logger: Any = 'current'
    ) -> Any:
        with _restricted():
            return original.__func__(cls, filename, map_location, logger)

    load_checkpoint.restricted = True  # type: ignore[attr-defined]
    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextmanager
def _restricted() -> Iterator[None]:
    """Hold ``torch.load`` to its restricted unpickler, whatever its callers ask for."""
    allow_safe_globals()
    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'  # PyTorch reads it at each call
    before = os.environ.get(name)
    os.environ[name] = '1'
    try:
        yield
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'a checkpoint is refused: it holds objects other than weights, which could run code '
            f'({_refusal(str(error))})'
        ) from None
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def load_from_mmcoat(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a file for MMEngine; its name follows MMEngine's own loaders.

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
