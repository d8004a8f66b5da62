"""Conv-attention: factorized attention with convolutional position encodings (paper section 3)."""

import torch
from torch import Tensor, nn

from mmcoat import ops

from .tokens import DropPath, Tokens


class ConvPosEnc(nn.Module):
    """Convolutional position encoding: a depthwise 3x3 convolution, added to its input.

    A stage owns one instance, and all its blocks use it.

    Args:
        channels: Number of channels C.
        kernel_size: Odd window of the convolution.
    """

    def __init__(self, channels: int, kernel_size: int = 3):
        super().__init__()
        self.backend = 'auto'
        self.proj = nn.Conv2d(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C); the caller does not change the class token."""
        run = ops.select(self.backend, x)
        return run.conv_pos_enc(x, self.proj.weight, self.proj.bias)


class ConvRelPosEnc(nn.Module):
    """Convolutional relative position encoding; each group of heads has its own window.

    A stage owns one instance, and all its attention layers use it. It has no effect on the class token.

    Args:
        channels: Number of channels C of all heads together.
        num_heads: Number of heads.
        crpe_window: Pairs of (window size, number of heads).
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 8,
        crpe_window: tuple[tuple[int, int], ...] = ((3, 2), (5, 3), (7, 3)),
    ):
        super().__init__()
        self.backend = 'auto'
        self.num_heads = num_heads
        width = channels // num_heads
        self.convs = nn.ModuleList()
        for window, heads in crpe_window:
            group = heads * width
            self.convs.append(nn.Conv2d(group, group, window, padding=window // 2, groups=group))

    def forward(self, x: Tensor) -> tuple:
        """Return the filters in the format of the operations on tokens like ``x``, once for many blocks."""
        weights, biases = [c.weight for c in self.convs], [c.bias for c in self.convs]
        return ops.select(self.backend, x).pack_filters(weights, biases, self.num_heads)


class FactorizedConvAttention(nn.Module):
    """Factorized attention plus relative position encoding, and the output projection.

    Args:
        channels: Number of channels C.
        num_heads: Number of heads; divides C.
        drop_rate: Dropout after the projection.
    """

    def __init__(self, channels: int, num_heads: int = 8, drop_rate: float = 0.0):
        super().__init__()
        self.backend = 'auto'
        self.num_heads = num_heads
        self.scale = (channels // num_heads) ** -0.5
        self.qkv = nn.Linear(channels, channels * 3)
        self.proj = nn.Linear(channels, channels)
        self.drop = nn.Dropout(drop_rate)

    def forward(
        self, tokens: Tokens, norm: nn.LayerNorm, crpe: tuple, drop_path: DropPath | None = None
    ) -> Tokens:
        """Return the attention of the normed tokens; with ``drop_path``, the residual sum instead.

        Args:
            tokens: Class token (B, 1, C) and image tokens (B, H, W, C).
            norm: The norm before the attention; the block owns it.
            crpe: Filters of the relative position encoding, as ``ConvRelPosEnc`` returns them.
            drop_path: Of the residual branch; it belongs to the block.

        Returns:
            The shapes of the tokens.
        """
        run, proj = ops.select(self.backend, tokens[1]), (self.proj.weight, self.proj.bias)
        qkv = run.norm_qkv(tokens, norm.weight, norm.bias, norm.eps, self.qkv.weight, self.qkv.bias)
        out = run.conv_attention(*qkv, crpe, self.num_heads, self.scale)
        if drop_path is None:
            return tuple(map(self.drop, run.linear_add(out, *proj, None, None)))
        if self.training and self.drop.p > 0:
            out = tuple(map(self.drop, run.linear_add(out, *proj, None, None)))
            return ops.add_branches(tokens, out, drop_path(tokens[1]))
        return run.linear_add(out, *proj, tokens, drop_path(tokens[1]))


def init_linear(module: nn.Module) -> None:
    """Initialise as the paper's code does: truncated normal for Linear, ones and zeros for LayerNorm.

    Convolutions keep PyTorch's default, as in the paper's code.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        torch.nn.init.ones_(module.weight)
        torch.nn.init.zeros_(module.bias)
