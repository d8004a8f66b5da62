"""The same weights for all contenders: random and seeded, without values that would hide a mistake."""

import math

import torch
from torch import Tensor, nn

SEED = 2104


def fill(model: nn.Module, seed: int = SEED) -> None:
    """Set every parameter to random numbers with the magnitude of a trained network's.

    The usual initialisation is not suitable: biases of zero and norms of one hide mistakes.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_numbers(name, parameter.shape, generator))


def _numbers(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    numbers = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return numbers / math.sqrt(math.prod(shape[1:]))
    return 0.1 * numbers + name.endswith('.weight')
