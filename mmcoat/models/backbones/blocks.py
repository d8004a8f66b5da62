"""CoaT's two blocks: serial, within one scale, and parallel, across scales (paper section 3.4)."""

import torch
from torch import Tensor, nn

from mmcoat import ops

from .conv_attention import ConvPosEnc, ConvRelPosEnc, FactorizedConvAttention
from .tokens import DropPath

BLOCK_NORM_EPS = 1e-6  # the patch embedding keeps PyTorch's 1e-5
Tokens = tuple[Tensor, Tensor]  # class token (B, 1, C), image tokens (B, H, W, C)


class Mlp(nn.Module):
    """Linear, GELU (exact, with erf), Linear.

    Args:
        channels: Channels in and out.
        hidden_channels: Channels between.
        drop_rate: Dropout after each Linear.
    """

    def __init__(self, channels: int, hidden_channels: int, drop_rate: float = 0.0):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_channels, channels)
        self.drop = nn.Dropout(drop_rate)
        self.backend = 'auto'

    def forward(self, tokens: Tokens, norm: nn.LayerNorm, residual: bool) -> Tokens:
        """Return the MLP of the normed tokens, added to the tokens with ``residual``.

        Args:
            tokens: Tensors (..., C).
            norm: The norm before; it belongs to the block.
            residual: Whether the tokens are added.

        Returns:
            The shapes of ``tokens``.
        """
        if self.training and self.drop.p > 0:
            out = [self.drop(self.fc2(self.drop(self.act(self.fc1(norm(x)))))) for x in tokens]
            return tuple(map(torch.add, tokens, out)) if residual else tuple(out)
        weights = self.fc1.weight, self.fc2.weight
        biases = self.fc1.bias, self.fc2.bias
        run = ops.select(self.backend, tokens[0])
        return run.norm_mlp(tokens, norm.weight, norm.bias, norm.eps, weights, biases, residual)


class SerialBlock(nn.Module):
    """Position encoding, conv-attention and MLP on the tokens of one scale.

    Args:
        channels: Number of channels C.
        num_heads: Number of heads.
        mlp_ratio: Hidden channels of the MLP over C.
        drop_rate: Dropout in projections and MLP.
        drop_path_rate: Stochastic depth.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        mlp_ratio: float,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.attn = FactorizedConvAttention(channels, num_heads, drop_rate)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop_rate)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, cls_token: Tensor, x: Tensor, cpe: ConvPosEnc, crpe: ConvRelPosEnc) -> Tokens:
        """(B, 1, C) and (B, H, W, C) -> the same shapes; ``cpe`` and ``crpe`` belong to the stage."""
        x = cpe(x)
        # Without drop path the sums happen inside the operations.
        inside = not self.drop_path.is_active
        tokens = self.attn(cls_token, x, self.norm1, crpe, residual=inside)
        middle = tokens if inside else self.drop_path.add((cls_token, x), tokens)
        tokens = self.mlp(middle, self.norm2, residual=inside)
        return tokens if inside else self.drop_path.add(middle, tokens)


class ParallelBranch(nn.Module):
    """What one scale has for itself in a parallel block: two norms and the attention."""

    def __init__(self, channels: int, num_heads: int, drop_rate: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.attn = FactorizedConvAttention(channels, num_heads, drop_rate)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)


class ParallelBlock(nn.Module):
    """Conv-attention at several scales, an exchange between them, and one MLP for all.

    Args:
        stages: Indices of the scales that take part; they name the branches.
        channels: Number of channels C, the same at all these scales.
        num_heads: Number of heads.
        mlp_ratio: Hidden channels of the MLP over C.
        drop_rate: Dropout in projections and MLP.
        drop_path_rate: Stochastic depth, drawn for each scale on its own.
    """

    def __init__(
        self,
        stages: tuple[int, ...],
        channels: int,
        num_heads: int,
        mlp_ratio: float,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.branches = nn.ModuleDict(
            {str(stage): ParallelBranch(channels, num_heads, drop_rate) for stage in stages}
        )
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop_rate)
        self.drop_path = DropPath(drop_path_rate)
        self.backend = 'auto'

    def forward(
        self, tokens: list[Tokens], cpes: list[ConvPosEnc], crpes: list[ConvRelPosEnc]
    ) -> list[Tokens]:
        """One (class token, image tokens) per scale -> the same shapes."""
        branches = self.branches.values()
        tokens = [(cls, cpe(x)) for (cls, x), cpe in zip(tokens, cpes, strict=True)]
        attended = [
            branch.attn(cls, x, branch.norm1, crpe, residual=False)
            for branch, (cls, x), crpe in zip(branches, tokens, crpes, strict=True)
        ]
        inside = not self.drop_path.is_active
        exchanged = self._exchange(attended, tokens if inside else None)
        if not inside:
            exchanged = [self.drop_path.add(*pair) for pair in zip(tokens, exchanged, strict=True)]
        tokens = exchanged
        branch_tokens = [
            self.mlp(own, branch.norm2, residual=inside)
            for branch, own in zip(branches, tokens, strict=True)
        ]
        if inside:
            return branch_tokens
        return [self.drop_path.add(*pair) for pair in zip(tokens, branch_tokens, strict=True)]

    def _exchange(self, tokens: list[Tokens], residuals: list[Tokens] | None) -> list[Tokens]:
        """Give every scale the sum of all, plus its residual."""
        # Class tokens have no size: the exchange gives every scale their sum.
        cls_sum = sum(cls for cls, _ in tokens)
        maps = [x for _, x in tokens]
        run = ops.select(self.backend, maps[0])
        if residuals is None:
            return [(cls_sum, x) for x in run.scale_exchange(maps)]
        maps = run.scale_exchange(maps, [x for _, x in residuals])
        return [(own + cls_sum, x) for (own, _), x in zip(residuals, maps, strict=True)]
