"""Conv-attention: factorized attention with convolutional position encodings (paper section 3)."""

import torch
from torch import Tensor, nn

from mmcoat import ops


class ConvPosEnc(nn.Module):
    """Convolutional position encoding: a depthwise 3x3 convolution, added to its input.

    One instance belongs to a stage and serves all its blocks.

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
        """(B, H, W, C) -> (B, H, W, C); the class token is left as it is by the caller."""
        run = ops.select(self.backend, x)
        return run.conv_pos_enc(x, self.proj.weight, self.proj.bias)


class ConvRelPosEnc(nn.Module):
    """Convolutional relative position encoding; each group of heads has a window of its own.

    One instance belongs to a stage and serves all its attentions. It has no effect on the class token.

    Args:
        channels: Number of channels C, all heads together.
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
        width = channels // num_heads
        self.convs = nn.ModuleList()
        for window, heads in crpe_window:
            group = heads * width
            self.convs.append(nn.Conv2d(group, group, window, padding=window // 2, groups=group))

    def filters(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return weights (Cw, 1, K, K) and biases (Cw,), one per window."""
        return [conv.weight for conv in self.convs], [conv.bias for conv in self.convs]


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
        self, cls_token: Tensor, x: Tensor, norm: nn.LayerNorm, crpe: ConvRelPosEnc, residual: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the attention of the normed tokens, added to the tokens with ``residual``.

        Args:
            cls_token: (B, 1, C).
            x: Image tokens, (B, H, W, C).
            norm: The norm before; it belongs to the block.
            crpe: The relative position encoding; it belongs to the stage.
            residual: Whether the tokens are added.

        Returns:
            The shapes of the tokens.
        """
        run, tokens = ops.select(self.backend, x), (cls_token, x)
        qkv = run.norm_qkv(tokens, norm.weight, norm.bias, norm.eps, self.qkv.weight, self.qkv.bias)
        out = run.conv_attention(*qkv, *crpe.filters(), self.num_heads, self.scale)
        if self.training and self.drop.p > 0:
            out = [self.drop(self.proj(part)) for part in out]
            return (cls_token + out[0], x + out[1]) if residual else tuple(out)
        return run.linear_add(out, self.proj.weight, self.proj.bias, tokens if residual else None)


def init_linear(module: nn.Module) -> None:
    """Initialise as the paper's code does: truncated normal for Linear, ones and zeros for LayerNorm.

    Convolutions keep PyTorch's default, there as here.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        torch.nn.init.ones_(module.weight)
        torch.nn.init.zeros_(module.bias)
