"""The objects that a pickle may build, and the guard that restricts MMEngine's loaders to them."""

import argparse
import functools
import importlib
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import CheckpointLoader

from .errors import CheckpointError
from .published import SCHEME, SITE

_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'uint8', 'bool')
_STATISTICS = ('min', 'max', 'current', 'mean')


def _history_statistic(owner: Any, name: str) -> Any:
    """Replace ``getattr``, with which MMEngine's HistoryBuffer pickles references to its own methods.

    With the real ``getattr`` a file could reach any object, through ``__self__`` or ``__globals__``.
    """
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'it asks for the attribute {name!r} of {owner!r}')


def allow_safe_globals() -> None:
    """Allow PyTorch's restricted unpickler to build what official and MMEngine files hold beside tensors.

    Official files hold an ``argparse.Namespace``; MMEngine's training state holds ``HistoryBuffer`` and
    numpy arrays and scalars, which MMEngine 0.10.7 cannot read back under torch >= 2.6 without this.
    None of these runs code when it is built. The two of numpy are allowed under their names in numpy 1 and 2.
    """
    core = 'numpy._core' if np.lib.NumpyVersion(np.__version__) >= '2.0.0' else 'numpy.core'
    multiarray = importlib.import_module(f'{core}.multiarray')
    numpys = [
        (function, f'{name}.multiarray.{function.__name__}')
        for function in (multiarray._reconstruct, multiarray.scalar)
        for name in ('numpy.core', 'numpy._core')
    ]
    own = [argparse.Namespace, HistoryBuffer, (_history_statistic, 'builtins.getattr')]
    dtypes = {type(np.dtype(name)) for name in _DTYPES}
    torch.serialization.add_safe_globals([*own, *numpys, np.ndarray, np.dtype, *dtypes])


def refusal(error: Exception) -> str:
    """Return the line of PyTorch's message that names the object, not its advice to open the file anyway."""
    message = str(error)
    _, _, reason = message.partition('WeightsUnpickler error:')
    advice = ('Weights only load failed', 'Please file', 'Check the documentation')
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    lines = reason.strip().splitlines() or [line for line in lines if not line.startswith(advice)]
    return lines[0].strip() if lines else 'no reason given'


def guard_mmengine(read: Callable[[str], Any]) -> None:
    """Make every way in which MMEngine opens a checkpoint safe, and make ``mmcoat://NAME`` work there.

    Files and URLs go to ``read``. Other schemes (``torchvision://``, ``open-mmlab://``, those of other
    packages) keep their loaders, but PyTorch uses only its restricted unpickler meanwhile. Without that, the
    OneDL line's MMEngine would run the code in a file when the restricted unpickler refuses it.
    """

    def load_from_mmcoat(filename: str, map_location: Any = None) -> Any:
        # Always into CPU memory, whatever map_location says: loading copies tensors to the model's device.
        return read(filename)

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
    """Force ``torch.load`` to use its restricted unpickler, whatever its callers ask for."""
    allow_safe_globals()
    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'  # PyTorch reads it at each call
    before = os.environ.get(name)
    os.environ[name] = '1'
    try:
        yield
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'a checkpoint is refused: it holds objects other than weights, which could run code '
            f'({refusal(error)})'
        ) from None
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
