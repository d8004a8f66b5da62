"""Layer norm, forward and backward, in the precision that its device needs."""

import torch
from torch import Tensor


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normed (..., C), the means and the reciprocal standard deviations, (..., 1)."""
    if x.is_cuda and x.dtype != gamma.dtype:
        x = x.to(gamma.dtype)  # CUDA's norm accepts only one dtype
    return torch.native_layer_norm(x, gamma.shape, gamma, beta, eps)


def layer_norm_backward(
    grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, gamma: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``x``, ``gamma`` and ``beta``."""
    dtype = gamma.dtype if x.is_cuda else x.dtype
    grads = torch.ops.aten.native_layer_norm_backward(
        grad.to(dtype), x.to(dtype), gamma.shape, mean, rstd, gamma, beta, [True] * 3
    )
    return grads[0].to(x.dtype), grads[1], grads[2]
