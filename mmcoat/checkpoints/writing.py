"""Write checkpoint files whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .errors import CheckpointError
from .files import find_state_dict


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path, force: bool = False) -> None:
    """Write ``checkpoint`` to a ``.pth`` file, or its weights to a ``.safetensors`` file.

    The same content gives the same bytes, whatever the file is called.

    Raises:
        CheckpointError: The file exists and ``force`` is not given, or its ending is another.
    """
    if path.suffix not in ('.pth', '.safetensors'):
        raise CheckpointError(f'{path} must end in .pth or .safetensors')
    if path.exists() and not force:
        raise CheckpointError(f'{path} exists; give --force to overwrite it')
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            if path.suffix == '.pth':
                torch.save(dict(checkpoint), file)
            else:
                file.write(_safetensors(checkpoint))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp's files are private
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _safetensors(checkpoint: Mapping[str, Any]) -> bytes:
    try:
        from safetensors.torch import save
    except ImportError:
        raise CheckpointError(
            '.safetensors needs the safetensors package: pip install safetensors'
        ) from None
    # The format has no aliases: each gets a copy.
    return save({k: v.clone().contiguous() for k, v in find_state_dict(checkpoint).items()})
