"""Choose the form of the operations that runs: reference, plain or fused."""

from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from . import plain, reference

BACKENDS = ('auto', 'fused', 'plain', 'reference')


def check_backend(backend: str) -> str:
    """Return ``backend``.

    Raises:
        ValueError: It is not in ``BACKENDS``.
        RuntimeError: It is ``'fused'``, and this PyTorch has no CUDA or Triton is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {BACKENDS}, got {backend!r}')
    if backend == 'fused' and not _triton_runs():
        raise RuntimeError(
            'the fused operations need a CUDA device of compute capability 8.0 or above and the package '
            "triton (it comes with the CUDA builds of PyTorch); backend='auto' uses them only where they run"
        )
    return backend


def fused_available(device: torch.device) -> bool:
    """Whether the Triton operations run on ``device``."""
    return device.type == 'cuda' and _triton_runs()


_triton: bool | None = None  # not functools.cache, which torch.compile cannot trace


def _triton_runs() -> bool:
    """Whether Triton is installed, and a device is new enough for the kernels."""
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
    """Return the module whose functions process ``x``.

    While a program is traced for export, the reference runs with every backend, because an exported program
    must not need mmcoat's own operators. Under ``torch.compile`` the same form runs as without it.

    Raises:
        RuntimeError: ``backend`` is ``'fused'``, but its operations do not accept ``x``, or one failed its
            trial on this device (``selfcheck.py``); ``'auto'`` uses the plain form instead.
    """
    if backend == 'reference' or _exporting():
        return reference
    takes = x.dtype != torch.float64 and fused_available(x.device)
    if backend == 'plain' or (backend == 'auto' and not takes):
        return plain
    if not takes:
        raise RuntimeError(
            "backend='fused' takes float32, float16 and bfloat16 on a CUDA device of compute capability 8.0 "
            f'or above, got {x.dtype} on {x.device}; move the model and its input there, or choose '
            "backend='auto'"
        )
    from . import fused, selfcheck

    if torch.compiler.is_compiling():
        if not selfcheck.any_replaced:
            return fused  # no trial inside a trace
    elif x.is_meta or type(x) is not Tensor:
        return fused  # no trial with tensors without values
    return selfcheck.checked(fused, x, must=backend == 'fused')


def _exporting() -> bool:
    """Whether torch.jit.trace, torch.export or torch.onnx.export is tracing.

    torch.onnx.export uses one of the other two.
    """
    # torch 2.6 cannot distinguish export from compile
    is_exporting = getattr(torch.compiler, 'is_exporting', None)
    return torch.jit.is_tracing() or (is_exporting is not None and is_exporting())
