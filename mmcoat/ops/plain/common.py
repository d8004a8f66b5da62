"""What the plain operations share: precision under autocast, and when a gradient is wanted."""

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which matrix products of ``x`` run: autocast's, or its own."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def wants_gradient(*tensors: Tensor) -> bool:
    """Whether autograd records, and one of ``tensors`` needs it."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def no_autocast(x: Tensor) -> torch.autocast:
    """Return a context in which operations take their inputs as they are."""
    return torch.autocast(x.device.type, enabled=False)


def rows(x: Tensor) -> Tensor:
    """(..., C) -> (N, C), a view of dense tensors."""
    return x.reshape(-1, x.shape[-1])
