"""Make PyTorch operators from Triton kernels, and count their launches.

The operators are defined with ``torch.library.triton_op``: torch.compile sees the kernels inside, and each
operator still has its own shapes, gradient and place in the dispatcher. Under ``TRITON_INTERPRET=1`` the
kernels are Python functions that no compiler can trace; then the same operators are opaque custom operators.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

INTERPRETED = os.environ.get('TRITON_INTERPRET', '0') == '1'

if INTERPRETED:

    def wrap_triton(kernel: Any) -> Any:
        """Return an interpreted kernel unchanged; it can be launched directly."""
        return kernel
else:
    from torch.library import wrap_triton

__all__ = ['INTERPRETED', 'Launch', 'define', 'launch', 'record_launches', 'wrap_triton']


@dataclasses.dataclass(frozen=True)
class Launch:
    """One launch of a kernel, with everything that a test needs to count bytes or compile ahead of time."""

    kernel: Any
    grid: int
    args: tuple
    constants: dict[str, Any]

    @property
    def function(self) -> Any:
        """The kernel, as returned by ``triton.jit``."""
        return getattr(self.kernel, 'kernel', self.kernel)

    @property
    def name(self) -> str:
        """Name of the kernel's function."""
        return self.function.fn.__name__

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, each counted once; operators pass views of what a kernel reads or writes."""
        return sum(x.numel() * x.element_size() for x in self.args if isinstance(x, Tensor))


_records: list[list[Launch]] = []


@contextlib.contextmanager
def record_launches() -> Iterator[list[Launch]]:
    """Collect every launch inside the ``with`` block; with meta tensors no kernel runs."""
    record: list[Launch] = []
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)


def _device_guard(x: Tensor) -> contextlib.AbstractContextManager:
    """Triton launches on the current device; compiled code, traced with other tensors, has its own guard."""
    if type(x) is Tensor and x.is_cuda:
        return torch.cuda.device_of(x)
    return contextlib.nullcontext()


def launch(kernel: Any, grid: int, *args: Any, **constants: Any) -> None:
    """Run ``grid`` programs of a kernel; ``args[0]`` must be a tensor.

    Args:
        kernel: Result of ``wrap_triton``.
        grid: Number of programs; all grids here have one dimension, the one without a low limit.
        args: Tensors and numbers in the order of the kernel's signature.
        constants: The kernel's ``tl.constexpr`` arguments, ``num_warps`` and ``num_stages``.

    Raises:
        ValueError: If a tensor is float64, whose digits the kernels would drop.
    """
    if any(isinstance(x, Tensor) and x.dtype == torch.float64 for x in args):
        raise ValueError('the fused operators take float32, float16 and bfloat16, got float64')
    for record in _records:
        record.append(Launch(kernel, grid, args, constants))
    if args[0].is_meta or (INTERPRETED and isinstance(args[0], FakeTensor)):
        return
    with _device_guard(args[0]):
        kernel[(grid,)](*args, **constants)


OPERATORS: list[str] = []  # names of all operators from ``define``


def define(name: str) -> Callable[[Callable], Any]:
    """Decorate a function of tensors to make it ``mmcoat::name``; it must launch kernels with ``launch``."""
    OPERATORS.append(name)
    if not INTERPRETED:
        return torch.library.triton_op(f'mmcoat::{name}', mutates_args=())

    def decorate(function: Callable) -> Any:
        operator = torch.library.custom_op(f'mmcoat::{name}', function, mutates_args=())
        operator.register_fake(function)  # allocates the outputs; launch() does nothing
        return operator

    return decorate
