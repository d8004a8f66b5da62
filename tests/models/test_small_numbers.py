"""Constants that large activations, or a rate of 0.5, would hide: the norms' eps, the rate of drop path."""

import torch
from torch import nn

from mmcoat.models.backbones.blocks import ParallelBlock, SerialBlock
from mmcoat.models.backbones.stage import PatchEmbed
from mmcoat.models.backbones.tokens import DropPath


def test_eps_of_the_patch_embedding():
    """On patches whose variance is that of eps, 1e-5 in the paper's code."""
    torch.manual_seed(0)
    embed, x = PatchEmbed(3, 16, 4).double(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    embed.proj.weight.data *= 0.005
    embed.proj.bias.data.zero_()
    tokens = embed.proj(x).permute(0, 2, 3, 1)
    variance = tokens.var(-1, keepdim=True, unbiased=False)
    assert variance.max() < 1e-4
    expected = (tokens - tokens.mean(-1, keepdim=True)) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(embed(x), expected)


def test_eps_of_the_blocks():
    blocks = SerialBlock(16, 8, 2), ParallelBlock((1, 2), 16, 8, 2)
    norms = [m for b in blocks for m in b.modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 6
    assert {norm.eps for norm in norms} == {1e-6}


def test_odds_of_drop_path():
    """At 0.5 keeping and dropping would look the same."""
    torch.manual_seed(0)
    factors = DropPath(0.2).train()(torch.zeros(10_000, 1))
    kept = factors[factors > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 0.8))
    assert 0.78 < len(kept) / 10_000 < 0.82  # five standard deviations
