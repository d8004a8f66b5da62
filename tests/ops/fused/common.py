"""Comparison of a fused operator with its plain twin, values and gradients, against float64."""

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

DEVICE = 'cuda' if os.environ.get('TRITON_INTERPRET') == '0' else 'cpu'
WIDTHS = (8, 16, 19, 27, 32, 40, 64)  # of a head, in all archs
# relative to the largest element of the right answer: a few roundings of the dtype
TOLERANCE = {torch.float32: 3e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Normal numbers on the device, the same for a seed and a shape."""
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator).to(DEVICE, dtype)


def values_and_grads(function: Callable, inputs: Sequence[Tensor]) -> tuple[list, list]:
    """Outputs, and gradients of a fixed weighting of them with respect to all inputs."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    outputs = function(*inputs)
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    loss = sum(
        (x * draw(*x.shape, seed=7 + place).to(x.dtype)).sum() for place, x in enumerate(outputs)
    )
    return outputs, torch.autograd.grad(loss, inputs, allow_unused=True)


def check(
    fused: Callable, plain: Callable, inputs: Sequence[Tensor], tolerance: float | None = None
) -> None:
    """Compare values and gradients of the fused form with those of the plain form in float64."""
    outputs, grads = values_and_grads(fused, inputs)
    right_outputs, right_grads = values_and_grads(plain, [x.double() for x in inputs])
    assert len(outputs) == len(right_outputs)
    pairs = [*zip(outputs, right_outputs, strict=True), *zip(grads, right_grads, strict=True)]
    for place, (ours, right) in enumerate(pairs):
        limit = tolerance or TOLERANCE[min((x.dtype for x in inputs), key=lambda d: d.itemsize)]
        error = (ours.double() - right).abs().max() / right.abs().max().clamp(min=1e-3)
        assert ours.shape == right.shape
        assert error < limit, f'item {place}: {error:.1e} of at most {limit:.1e}'
