"""GELU in backward: the activation (which training does not keep) and the gradient, with one read.

The forward pass needs no kernel of its own: PyTorch's GELU reads and writes once, and the bias before it
is added in the epilogue of the matrix product.
"""

import torch
from torch import Tensor

from . import tuning
from .kernels.gelu import gelu_grad_kernel
from .launching import define, launch, wrap_triton


@define('gelu_with_grad')
def gelu_with_grad_op(hidden: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """See ``gelu_with_grad``."""
    hidden, grad = hidden.contiguous(), grad.contiguous()
    activation, d_hidden = torch.empty_like(hidden), torch.empty_like(hidden)
    launch(
        wrap_triton(gelu_grad_kernel),
        tuning.cdiv(hidden.numel(), tuning.FLAT_BLOCK),
        hidden,
        grad,
        activation,
        d_hidden,
        hidden.numel(),
        block=tuning.FLAT_BLOCK,
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
