"""Conv-attention: factorized attention with convolutional position encodings (paper section 3)."""

import torch
from torch import Tensor, nn

from mmcoat.ops import conv_pos_enc, conv_rel_pos_enc, factorized_attention


class ConvPosEnc(nn.Module):
    """Convolutional position encoding: a depthwise 3x3 convolution, added to its input.

    One instance belongs to a stage and serves all its blocks.

    Args:
        channels: Number of channels C.
        kernel_size: Odd window of the convolution.
    """

    def __init__(self, channels: int, kernel_size: int = 3):
        super().__init__()
        self.proj = nn.Conv2d(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C); the class token is left as it is by the caller."""
        return conv_pos_enc(x, self.proj.weight, self.proj.bias)


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

    def forward(self, q: Tensor, v: Tensor) -> Tensor:
        """(B, H, W, C) queries and values -> (B, H, W, C)."""
        weights = [conv.weight for conv in self.convs]
        biases = [conv.bias for conv in self.convs]
        return conv_rel_pos_enc(q, v, weights, biases)


class FactorizedConvAttention(nn.Module):
    """Factorized attention plus relative position encoding, and the output projection.

    Args:
        channels: Number of channels C.
        num_heads: Number of heads; divides C.
        drop_rate: Dropout after the projection.
    """

    def __init__(self, channels: int, num_heads: int = 8, drop_rate: float = 0.0):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (channels // num_heads) ** -0.5
        self.qkv = nn.Linear(channels, channels * 3)
        self.proj = nn.Linear(channels, channels)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, cls_token: Tensor, x: Tensor, crpe: ConvRelPosEnc) -> tuple[Tensor, Tensor]:
        """(B, 1, C) and (B, H, W, C) -> the same shapes."""
        # (B, ..., C) -> (B, ..., 3, C)
        qkv_cls = self.qkv(cls_token).unflatten(-1, (3, -1))
        qkv = self.qkv(x).unflatten(-1, (3, -1))
        out_cls, out = factorized_attention(qkv_cls, qkv, self.num_heads, self.scale)
        q, _, v = qkv.unbind(-2)  # unbind, not indexing: one gradient buffer instead of three
        out = out + crpe(q, v)
        return self.drop(self.proj(out_cls)), self.drop(self.proj(out))


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
