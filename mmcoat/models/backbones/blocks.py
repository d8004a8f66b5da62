"""CoaT's two blocks: serial, within one scale, and parallel, across scales (paper section 3.4)."""

from torch import Tensor, nn

from mmcoat import ops

from .conv_attention import ConvPosEnc, FactorizedConvAttention
from .tokens import DropPath, Tokens

BLOCK_NORM_EPS = 1e-6  # the patch embedding keeps PyTorch's 1e-5


class Mlp(nn.Module):
    """Linear, GELU (exact, with erf), Linear.

    Args:
        channels: Input and output channels.
        hidden_channels: Channels between the two Linear layers.
        drop_rate: Dropout after each Linear.
    """

    def __init__(self, channels: int, hidden_channels: int, drop_rate: float = 0.0):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_channels, channels)
        self.drop = nn.Dropout(drop_rate)
        self.backend = 'auto'

    def forward(
        self, scales: list[Tokens], norms: list[nn.LayerNorm], drop_path: DropPath
    ) -> list[Tokens]:
        """Return the tokens of each scale plus the MLP of the normed tokens, to which drop path is applied.

        Args:
            scales: One (class token, image tokens) per scale.
            norms: The norm before the MLP, one per scale; the block owns them.
            drop_path: Of the residual branch; it belongs to the block.

        Returns:
            The shapes of ``scales``.
        """
        if self.training and self.drop.p > 0:
            # all dropout masks are drawn before the first drop path factor
            branches = [self._drop(*scale) for scale in zip(scales, norms, strict=True)]
            pairs = zip(scales, branches, strict=True)
            return [ops.add_branches(x, branch, drop_path(x[1])) for x, branch in pairs]
        run = ops.select(self.backend, scales[0][1])
        layers = (self.fc1.weight, self.fc2.weight), (self.fc1.bias, self.fc2.bias)
        return [
            run.norm_mlp(x, norm.weight, norm.bias, norm.eps, *layers, drop_path(x[1]))
            for x, norm in zip(scales, norms, strict=True)
        ]

    def _drop(self, tokens: Tokens, norm: nn.LayerNorm) -> Tokens:
        """The MLP with dropout, layer by layer."""
        return tuple(self.drop(self.fc2(self.drop(self.act(self.fc1(norm(x)))))) for x in tokens)


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

    def forward(self, cls_token: Tensor, x: Tensor, cpe: ConvPosEnc, crpe: tuple) -> Tokens:
        """(B, 1, C) and (B, H, W, C) -> the same shapes.

        Args:
            cls_token: (B, 1, C).
            x: Image tokens, (B, H, W, C).
            cpe: The position encoding; the stage owns it.
            crpe: The filters that the stage's ``ConvRelPosEnc`` returned.
        """
        tokens = cls_token, cpe(x)
        tokens = self.attn(tokens, self.norm1, crpe, self.drop_path)
        return self.mlp([tokens], [self.norm2], self.drop_path)[0]


class ParallelBranch(nn.Module):
    """The modules of one scale in a parallel block: two norms and the attention."""

    def __init__(self, channels: int, num_heads: int, drop_rate: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.attn = FactorizedConvAttention(channels, num_heads, drop_rate)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)


class ParallelBlock(nn.Module):
    """Conv-attention at several scales, an exchange between them, and one MLP for all scales.

    Args:
        stages: Indices of the scales in the block; they are the names of the branches.
        channels: Number of channels C, the same at all these scales.
        num_heads: Number of heads.
        mlp_ratio: Hidden channels of the MLP over C.
        drop_rate: Dropout in projections and MLP.
        drop_path_rate: Stochastic depth, drawn separately for each scale.
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
        self, tokens: list[Tokens], cpes: list[ConvPosEnc], crpes: list[tuple]
    ) -> list[Tokens]:
        """One (class token, image tokens) per scale -> the same shapes."""
        branches = self.branches.values()
        tokens = [(cls, cpe(x)) for (cls, x), cpe in zip(tokens, cpes, strict=True)]
        attended = [
            branch.attn(own, branch.norm1, crpe)
            for branch, own, crpe in zip(branches, tokens, crpes, strict=True)
        ]
        tokens = self._exchange(tokens, attended)
        return self.mlp(tokens, [branch.norm2 for branch in branches], self.drop_path)

    def _exchange(self, tokens: list[Tokens], attended: list[Tokens]) -> list[Tokens]:
        """Return the tokens of every scale plus the sum over all scales, to which drop path is applied."""
        factors = [self.drop_path(x) for _, x in tokens]
        residuals, maps = ([x for _, x in scales] for scales in (tokens, attended))
        maps = ops.select(self.backend, maps[0]).scale_exchange(maps, residuals, factors)
        # Class tokens need no resizing: the exchange gives every scale their sum.
        cls_sum = sum(cls for cls, _ in attended)
        return [
            (ops.add_branch(cls, cls_sum, factor), x)
            for (cls, _), x, factor in zip(tokens, maps, factors, strict=True)
        ]
