"""The two ways between convolution maps and tokens, and the residual branch's drop path.

Inside mmcoat the image tokens of one scale are a dense channels-last map (B, H, W, C) with the class token
(B, 1, C) beside it: convolutions, norms and matrix products all read that layout without a copy.
"""

import torch
from torch import Tensor


def map_to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), dense."""
    return x.permute(0, 2, 3, 1).contiguous()


def tokens_to_map(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), a view with channels-last strides."""
    return x.permute(0, 3, 1, 2)


class DropPath(torch.nn.Module):
    """Stochastic depth for a class token and its image tokens: both are kept or dropped together.

    Args:
        rate: Probability of dropping a sample's residual branch, in [0, 1).
    """

    def __init__(self, rate: float = 0.0):
        super().__init__()
        self.rate = rate

    @property
    def is_active(self) -> bool:
        """Whether ``forward`` changes anything."""
        return self.training and self.rate > 0.0

    def forward(self, cls_token: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale or drop (B, 1, C) and (B, H, W, C) with one draw per sample."""
        if not self.is_active:
            return cls_token, x
        keep = 1.0 - self.rate
        mask = cls_token.new_empty(x.shape[0], 1, 1).bernoulli_(keep).div_(keep)
        return cls_token * mask, x * mask.unsqueeze(-1).to(x.dtype)

    def add(
        self, tokens: tuple[Tensor, Tensor], branch: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return ``tokens`` plus what is kept of their residual branch."""
        cls_token, x = self(*branch)
        return tokens[0] + cls_token, tokens[1] + x

    def extra_repr(self) -> str:
        return f'rate={self.rate}'
