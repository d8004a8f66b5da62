"""Which form of the operations runs: reference, plain or fused."""

from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from . import plain, reference

BACKENDS = ('auto', 'fused', 'plain', 'reference')


def check_backend(backend: str) -> str:
    """Return ``backend``.

    Raises:
        ValueError: It is none of ``BACKENDS``.
        RuntimeError: It is ``'fused'``, and this PyTorch has no CUDA or Triton is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {BACKENDS}, got {backend!r}')
    if backend == 'fused' and not _triton_runs():
        raise RuntimeError(
            'the fused operations need a CUDA device and the package triton (it comes with the CUDA '
            'builds of PyTorch); leave fused=None to use them only where they run'
        )
    return backend


def fused_available(device: torch.device) -> bool:
    """Whether the Triton operations run on ``device``."""
    return device.type == 'cuda' and _triton_runs()


_triton: bool | None = None  # not functools.cache, which torch.compile does not see through


def _triton_runs() -> bool:
    """Whether there is Triton, and a device of a generation that its kernels are written for."""
    global _triton
    if _triton is None:
        _triton = (
            find_spec('triton') is not None
            and torch.cuda.is_available()
            and torch.version.hip is None
            and torch.cuda.get_device_capability() >= (8, 0)
        )
    return _triton


def select(backend: str, x: Tensor) -> ModuleType:
    """Return the module whose functions are to work on ``x``.

    A tracer gets the reference: it sees through ordinary operations only. In float64, which the fused
    operations do not take, the plain ones run.
    """
    if backend == 'reference' or torch.jit.is_tracing():
        return reference
    if backend == 'plain' or x.dtype == torch.float64 or not fused_available(x.device):
        return plain
    from . import fused

    return fused
