"""Conversion between convolution maps and tokens, and the drop path of residual branches.

Inside mmcoat the image tokens of one scale are a dense channels-last map (B, H, W, C) with the class token
(B, 1, C) beside it: convolutions, norms and matrix products all read that layout without a copy.
"""

import torch
from torch import Tensor

Tokens = tuple[Tensor, Tensor]  # class token (B, 1, C), image tokens (B, H, W, C)


def map_to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), dense."""
    return x.permute(0, 2, 3, 1).contiguous()


def tokens_to_map(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), a view with channels-last strides."""
    return x.permute(0, 3, 1, 2)


class DropPath(torch.nn.Module):
    """Stochastic depth: draw a factor for the residual branch of each sample.

    The class token and the image tokens of a sample get the same factor; the operations apply it.

    Args:
        rate: Probability of dropping a sample's residual branch, in [0, 1).
    """

    def __init__(self, rate: float = 0.0):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor | None:
        """Return 0 or 1 / (1 - rate) for each sample of (B, ..., C), (B,); None if nothing is dropped."""
        if not self.training or self.rate == 0.0:
            return None
        keep = 1.0 - self.rate
        return x.new_empty(x.shape[0]).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f'rate={self.rate}'
