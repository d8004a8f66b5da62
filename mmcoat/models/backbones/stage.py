"""One scale of CoaT: patch embedding, class token, position encodings and serial blocks."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .blocks import SerialBlock
from .conv_attention import ConvPosEnc, ConvRelPosEnc
from .tokens import Tokens, map_to_tokens


class PatchEmbed(nn.Module):
    """A strided convolution over non-overlapping patches, and a norm (eps 1e-5).

    Args:
        in_channels: Channels of the input map.
        channels: Channels of the tokens.
        patch_size: Patch size and stride in pixels of the input map; a remainder at the border is left out.
    """

    def __init__(self, in_channels: int, channels: int, patch_size: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Cin, H, W) -> (B, H // patch_size, W // patch_size, C)."""
        return self.norm(map_to_tokens(self.proj(x)))


class Stage(nn.Module):
    """Serial blocks at one scale, and the modules that all blocks of the scale share.

    It owns the position encodings. Its serial blocks, and the parallel blocks of its scale, receive these as
    arguments. So each parameter of the backbone has one name and one owner.

    Args:
        in_channels: Channels of the map that comes in.
        channels: Number of channels C.
        patch_size: Patch size of the embedding.
        depth: Number of serial blocks.
        num_heads: Number of heads.
        mlp_ratio: Hidden channels of the MLPs over C.
        crpe_window: Pairs of (window size, number of heads).
        drop_rate: Dropout.
        drop_path_rate: Stochastic depth, the same in every block.
        with_cp: Recompute each block in backward instead of keeping its activations.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        patch_size: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
        crpe_window: tuple[tuple[int, int], ...],
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
    ):
        super().__init__()
        self.with_cp = with_cp
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.patch_embed = PatchEmbed(in_channels, channels, patch_size)
        self.cpe = ConvPosEnc(channels)
        self.crpe = ConvRelPosEnc(channels, num_heads, crpe_window)
        self.blocks = nn.ModuleList(
            SerialBlock(channels, num_heads, mlp_ratio, drop_rate, drop_path_rate)
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tokens:
        """(B, Cin, H, W) -> class token (B, 1, C) and image tokens (B, h, w, C)."""
        x = self.patch_embed(x)
        cls_token = self.cls_token.expand(x.shape[0], -1, -1)
        crpe = self.crpe(x)
        for block in self.blocks:
            cls_token, x = run_block(block, cls_token, x, self.cpe, crpe, with_cp=self.with_cp)
        return cls_token, x


def run_block(block: nn.Module, *args, with_cp: bool):
    """Call ``block(*args)``; with ``with_cp`` its activations are recomputed in backward."""
    if with_cp and torch.is_grad_enabled():
        return checkpoint(block, *args, use_reentrant=False)
    return block(*args)
