"""Checkpoint files: read without running code from them, find the weights in them, write them whole."""

import hashlib
import io
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import write_whole
from .errors import CheckpointError
from .fetch import fetch, hash_in_name, is_remote
from .names import OFFICIAL_MARK, OWN_MARK, guess_arch, is_own_name, translate
from .safety import allow_safe_globals, refusal

# Bytes in a zip's members per byte of the file; PyTorch's own have less than 1.1.
UNFOLDED_LIMIT = 4
HOLDERS = ('state_dict', 'model')  # MMEngine's and timm's key, and the official codes'
AVERAGES = (
    'ema_state_dict',
    'state_dict_ema',
    'model_ema',
)  # MMEngine's, timm's, the official code's
ENDINGS = ('.pth', '.safetensors')


# ---------------------------------------------------------------------- read


def ensure_safe(source: str | Path) -> str:
    """Return the local path of a checkpoint that is safe for any loader to open.

    The tools ask this first, for ``load_from``, ``resume`` and the checkpoint to test, so that a file that is
    refused costs nothing else.

    Args:
        source: File, URL or ``mmcoat://NAME``; what is remote is fetched.

    Raises:
        CheckpointError: As :func:`read_checkpoint`.
    """
    path = _local(source)
    read_checkpoint(path)
    return str(path)


def read_checkpoint(source: str | Path) -> dict[str, Any]:
    """Read a file, URL or ``mmcoat://`` name into CPU memory; nothing in it can run code.

    Args:
        source: A ``.pth`` (PyTorch) or ``.safetensors`` file, an http(s) URL or ``mmcoat://NAME``; the last
            two are fetched into PyTorch's hub cache.

    Raises:
        CheckpointError: Missing, damaged, holding other objects than weights, or not to be fetched.
    """
    path = _local(source)
    if path.is_dir():
        raise CheckpointError(f'checkpoint {path} is a folder, not a file')
    if not path.is_file():
        raise CheckpointError(f'checkpoint {path} does not exist')
    if path.stat().st_size == 0:
        raise CheckpointError(f'checkpoint {path} is empty')
    checkpoint = _read_safetensors(path) if path.suffix == '.safetensors' else _read_torch(path)
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'checkpoint {path} holds a {type(checkpoint).__name__}, no weights')
    return dict(checkpoint)


def _local(source: str | Path) -> Path:
    return fetch(str(source)) if is_remote(source) else Path(source).expanduser()


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
            f'which could run code ({refusal(error)})'
        ) from None
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise _damaged(path, reason) from None


def _damaged(path: Path, reason: object) -> CheckpointError:
    return CheckpointError(f'checkpoint {path} is damaged or incomplete ({reason})')


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
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(member.file_size for member in archive.infolist())
            damaged = archive.testzip() if unfolded <= UNFOLDED_LIMIT * size else None
    except Exception as error:  # a damaged file can make zipfile fail in any way
        raise _damaged(path, error) from None
    if unfolded > UNFOLDED_LIMIT * size:
        raise CheckpointError(
            f'checkpoint {path} is refused: its {size} bytes would unfold to {unfolded}; PyTorch writes '
            'files without compression'
        )
    if damaged is not None:
        raise _damaged(path, f'the checksum of {damaged} in it does not fit')


def _safetensors(needed_by: object) -> Any:
    try:
        import safetensors.torch as library
    except ImportError:
        raise CheckpointError(
            f'{needed_by} needs the safetensors package: pip install safetensors'
        ) from None
    return library


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    library = _safetensors(path)
    try:
        return library.load_file(path)
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise _damaged(path, error) from None


# ---------------------------------------------------------------------- find


def find_state_dict(
    checkpoint: Mapping[str, Any], source: str | Path = 'this checkpoint'
) -> dict[str, Tensor]:
    """Return the weights of a checkpoint: under 'state_dict', 'model', or the whole of it.

    Args:
        checkpoint: What a file holds.
        source: Named in messages.

    Raises:
        CheckpointError: There are no tensors in it, or one whose name is no text.
    """
    inner = checkpoint
    for key in HOLDERS:
        if isinstance(checkpoint.get(key), Mapping):
            inner = checkpoint[key]
            break
    weights = {key: value for key, value in inner.items() if isinstance(value, Tensor)}
    for key in weights:
        if not isinstance(key, str):
            raise CheckpointError(f'{source} is refused: the name {key!r} of a tensor is not text')
    if weights:
        return weights
    found = f'only {sorted(map(str, inner))[:10]}' if inner else 'it is empty'
    for key in AVERAGES:
        if isinstance(checkpoint.get(key), Mapping):
            found += f"; {key} are averages (EMA): save them under 'state_dict' to use them"
    raise CheckpointError(f'there are no weights in {source}, {found}')


def unwrap_in_place(checkpoint: dict[str, Any]) -> None:
    """Replace ``{'model': weights, 'args': ...}`` by the weights alone; do not change anything else.

    MMEngine's loaders unwrap 'state_dict' alone, and hand everything else to the model as it is.
    """
    weights = checkpoint.get('model')
    if isinstance(weights, Mapping) and 'state_dict' not in checkpoint:
        checkpoint.clear()
        checkpoint.update(weights)


def find_prefixes(weights: Mapping[str, Any]) -> list[str]:
    """Return what stands before the names of each CoaT backbone in a state dict, ``''`` for a bare one."""
    return sorted(
        {
            key[: -len(mark)]
            for key in weights
            for mark in (OFFICIAL_MARK, OWN_MARK)
            if key == mark or key.endswith(f'.{mark}')
        }
    )


def describe(weights: Mapping[str, Tensor]) -> str:
    """Say in words which backbones a state dict holds, and which modules beside them."""
    others, parts = dict.fromkeys(weights), []
    for prefix in find_prefixes(weights):
        names = {k: k[len(prefix) :] for k in weights if k.startswith(prefix)}
        names = {k: translate(name) or name for k, name in names.items()}
        own = {name: weights[k] for k, name in names.items() if is_own_name(name)}
        others = {k: None for k in others if names.get(k) not in own}
        parts.append(f'a CoaT of {guess_arch(own)}' + (f' as {prefix!r}' if prefix else ''))
    modules = list(dict.fromkeys(key.split('.')[0] for key in others))
    more = [f'and {len(modules) - 6} more'] if len(modules) > 6 else []
    return ', '.join([*(parts or ['no CoaT']), *modules[:6], *more])


def check_numbers(
    weights: Mapping[str, Tensor], source: str | Path, only_float: bool = False
) -> None:
    """Refuse weights that no training has left behind.

    Args:
        weights: Tensors by name.
        source: Named in the message.
        only_float: Whether whole numbers are refused under every name: counters and indices, which some
            models keep. Under ``.weight`` and ``.bias`` they always are.

    Raises:
        CheckpointError: A tensor is sparse, complex, without data, larger than its data, NaN or infinite.
    """
    for key, value in weights.items():
        problem = None
        if value.layout != torch.strided or value.is_complex() or value.is_meta:
            problem = f'it is a tensor of {value.dtype}, {value.layout} on {value.device}'
        elif value.numel() * value.element_size() > value.untyped_storage().nbytes():
            problem = f'its shape {tuple(value.shape)} repeats the few numbers that the file holds'
        elif (only_float or key.endswith(('.weight', '.bias'))) and not value.is_floating_point():
            problem = f'it holds {value.dtype} instead of floating point numbers'
        elif value.is_floating_point() and not _is_finite(value):
            problem = 'it holds NaN or infinite values'
        if problem:
            raise CheckpointError(f'{source} is refused: {key!r} in it is not usable, {problem}')


def _is_finite(value: Tensor) -> bool:
    # PyTorch does not know isfinite for some forms of one byte
    return bool(torch.isfinite(value.float() if value.element_size() == 1 else value).all())


# ---------------------------------------------------------------------- write


def write_checkpoint(
    checkpoint: Mapping[str, Any], path: Path, force: bool = False, add_hash: bool = False
) -> Path:
    """Write ``checkpoint`` to a ``.pth`` file, or its weights to a ``.safetensors`` file; return the path.

    The file is there whole or not at all. The same content gives the same bytes, whatever the file is called.

    Args:
        checkpoint: What the file shall hold.
        path: File to write.
        force: Overwrite it.
        add_hash: Add the first 8 hex digits of its SHA-256 to its name; another hash there is replaced.

    Raises:
        CheckpointError: The file exists and ``force`` is not given, its ending is another, or it cannot be
            written.
    """
    if path.suffix not in ENDINGS:
        raise CheckpointError(f'{path} must end in .pth or .safetensors')
    content = _serialise(checkpoint, path)
    if add_hash:
        former = hash_in_name(path.name)
        stem = path.stem.removesuffix(f'-{former}') if former else path.stem
        path = path.with_name(f'{stem}-{hashlib.sha256(content).hexdigest()[:8]}{path.suffix}')
    if path.exists() and not force:
        raise CheckpointError(f'{path} exists; give --force to overwrite it')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(content, path)
    except OSError as error:
        raise CheckpointError(f'cannot write {path}: {error}') from None
    return path


def _serialise(checkpoint: Mapping[str, Any], path: Path) -> bytes:
    if path.suffix == '.safetensors':
        # The format has no aliases: each gets a copy.
        copies = {k: v.clone().contiguous() for k, v in find_state_dict(checkpoint).items()}
        return _safetensors(path).save(copies)
    file = io.BytesIO()
    torch.save(dict(checkpoint), file)
    return file.getvalue()
