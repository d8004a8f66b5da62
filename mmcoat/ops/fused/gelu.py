"""GELU in backward: the activation, which training does not keep, and the gradient, from one reading.

The forward pass needs no kernel of its own: PyTorch's GELU reads and writes once, and the bias before it
is added in the epilogue of the matrix product.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import config
from .launching import define, launch, wrap_triton


@triton.jit
def gelu_grad_kernel(hidden, grad, activation, d_hidden, count, block: tl.constexpr):
    """Exact GELU (with erf) and its gradient."""
    first = tl.program_id(0).to(tl.int64) * block
    near = tl.arange(0, block)
    there = first + near < count
    x = tl.load(hidden + first + near, there, 0.0).to(tl.float32)
    share = 0.5 + 0.5 * tl.erf(x * 0.7071067811865476)  # the normal distribution
    value = (x * share).to(activation.dtype.element_ty)
    tl.store(activation + first + near, value, there)
    slope = share + x * tl.exp(-0.5 * x * x) * 0.3989422804014327
    result = tl.load(grad + first + near, there, 0.0).to(tl.float32) * slope
    tl.store(d_hidden + first + near, result.to(d_hidden.dtype.element_ty), there)


@define('gelu_with_grad')
def gelu_with_grad_op(hidden: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """See ``gelu_with_grad``."""
    hidden, grad = hidden.contiguous(), grad.contiguous()
    activation, d_hidden = torch.empty_like(hidden), torch.empty_like(hidden)
    launch(
        wrap_triton(gelu_grad_kernel),
        config.cdiv(hidden.numel(), config.FLAT_BLOCK),
        hidden,
        grad,
        activation,
        d_hidden,
        hidden.numel(),
        block=config.FLAT_BLOCK,
        num_warps=4,
    )
    return activation, d_hidden


def gelu_with_grad(hidden: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """For the backward pass of an MLP: recompute GELU and take its gradient, in one pass.

    Args:
        hidden: Input of the GELU, any shape.
        grad: Gradient of its output, the same shape.

    Returns:
        GELU of ``hidden``, and the gradient of ``hidden``. Neither can be differentiated again.

    Raises:
        ValueError: If the shapes differ.
    """
    if hidden.shape != grad.shape:
        raise ValueError(
            f'two equal shapes expected, got {tuple(hidden.shape)} and {tuple(grad.shape)}'
        )
    return gelu_with_grad_op(hidden.contiguous(), grad.contiguous())
