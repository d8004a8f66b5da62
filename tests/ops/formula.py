"""The two blocks as in the paper, ``x + drop_path(f(norm(x)))``, step by step, without mmcoat.ops.

The forms put residual sums and drop path into their operations; values, gradients and random draws must stay
those of this page.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcoat.models.backbones.blocks import ParallelBlock, SerialBlock
from mmcoat.models.backbones.conv_attention import ConvPosEnc, ConvRelPosEnc

C, HEADS = 16, 4
WINDOWS = ((3, 1), (5, 3))
SIZES = ((6, 5), (3, 2))  # of the maps of two scales
BATCH = 3


def drop_path(module: nn.Module, cls_token: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """One draw for each sample, of shape (B, 1, 1), for its class token and its map."""
    if not module.training or module.rate == 0:
        return cls_token, x
    keep = 1 - module.rate
    mask = cls_token.new_empty(x.shape[0], 1, 1).bernoulli_(keep).div_(keep)
    return cls_token * mask, x * mask.unsqueeze(-1)


def position(cpe: ConvPosEnc, x: Tensor) -> Tensor:
    return x + cpe.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def attention(attn: nn.Module, norm: nn.Module, crpe: ConvRelPosEnc, cls_token: Tensor, x: Tensor):
    """Class token and image tokens concatenated, as in the paper's code."""
    batch, height, width, channels = x.shape
    tokens = norm(torch.cat([cls_token, x.flatten(1, 2)], 1))
    # (B, N, 3 C) -> (3, B, heads, N, C / heads)
    q, k, v = attn.qkv(tokens).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
    context = k.softmax(dim=2).transpose(-1, -2) @ v
    out = attn.scale * (q @ context)
    v_map = v[:, :, 1:].permute(0, 1, 3, 2).reshape(batch, channels, height, width)
    parts = v_map.split([conv.in_channels for conv in crpe.convs], 1)
    encoded = torch.cat([conv(part) for conv, part in zip(crpe.convs, parts, strict=True)], 1)
    encoded = encoded.reshape(batch, HEADS, -1, height * width).transpose(-1, -2)
    out = out + q * F.pad(encoded, (0, 0, 1, 0))  # nothing for the class token
    out = attn.proj(out.transpose(1, 2).flatten(2))
    return attn.drop(out[:, :1]), attn.drop(out[:, 1:].reshape(x.shape))


def mlp(module: nn.Module, norm: nn.Module, cls_token: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    def run(tokens: Tensor) -> Tensor:
        return module.drop(module.fc2(module.drop(F.gelu(module.fc1(norm(tokens))))))

    return run(cls_token), run(x)


def add(tokens, branch):
    return tokens[0] + branch[0], tokens[1] + branch[1]


def serial_block(block: SerialBlock, cpe: ConvPosEnc, crpe: ConvRelPosEnc, *tokens: Tensor):
    tokens = tokens[0], position(cpe, tokens[1])
    branch = attention(block.attn, block.norm1, crpe, *tokens)
    tokens = add(tokens, drop_path(block.drop_path, *branch))
    branch = mlp(block.mlp, block.norm2, *tokens)
    return add(tokens, drop_path(block.drop_path, *branch))


def exchange(scales: list) -> list:
    sums = []
    for _, own in scales:
        resized = [
            F.interpolate(x.permute(0, 3, 1, 2), own.shape[1:3], mode='bilinear') for _, x in scales
        ]
        sums.append((sum(cls for cls, _ in scales), sum(resized).permute(0, 2, 3, 1)))
    return sums


def parallel_block(block: ParallelBlock, cpe: ConvPosEnc, crpe: ConvRelPosEnc, *tensors: Tensor):
    branches = block.branches.values()
    scales = [(cls, position(cpe, x)) for cls, x in zip(tensors[::2], tensors[1::2], strict=True)]
    attended = [
        attention(own.attn, own.norm1, crpe, *x) for own, x in zip(branches, scales, strict=True)
    ]
    summed = exchange(attended)
    scales = [add(x, drop_path(block.drop_path, *s)) for x, s in zip(scales, summed, strict=True)]
    out = [mlp(block.mlp, own.norm2, *x) for own, x in zip(branches, scales, strict=True)]
    out = [add(x, drop_path(block.drop_path, *o)) for x, o in zip(scales, out, strict=True)]
    return [tensor for tokens in out for tensor in tokens]


def ours(block: nn.Module, cpe: ConvPosEnc, crpe: ConvRelPosEnc, *tensors: Tensor):
    """The same call of a block of mmcoat."""
    filters = crpe(tensors[1])
    if isinstance(block, SerialBlock):
        return block(*tensors, cpe, filters)
    scales = list(zip(tensors[::2], tensors[1::2], strict=True))
    out = block(scales, [cpe] * len(scales), [filters] * len(scales))
    return [tensor for tokens in out for tensor in tokens]


def results(function: Callable, modules: nn.ModuleList, inputs: list[Tensor]) -> dict[str, list]:
    """Values, gradients and the state of the generator after one call from a fixed seed."""
    torch.manual_seed(5)
    outs = function(*modules, *inputs)
    draws = torch.get_rng_state()
    loss = sum((o * torch.linspace(-1, 1, o.numel()).to(o).view_as(o)).sum() for o in outs)
    leaves = [*inputs, *modules.parameters()]
    return dict(values=list(outs), gradients=list(torch.autograd.grad(loss, leaves)), draws=draws)


def check_block(
    backend: str, kind: str, rates: dict[str, float], dtype: torch.dtype, tolerance: float
) -> None:
    """Compare a block in one form with the formula."""
    torch.manual_seed(0)
    if kind == 'serial':
        block, scales, formula = SerialBlock(C, HEADS, 2, **rates), SIZES[:1], serial_block
    else:
        block, scales, formula = ParallelBlock((1, 2), C, HEADS, 2, **rates), SIZES, parallel_block
    modules = nn.ModuleList([block, ConvPosEnc(C), ConvRelPosEnc(C, HEADS, WINDOWS)]).to(dtype)
    for module in modules.modules():
        if hasattr(module, 'backend'):
            module.backend = backend
    shapes = [shape for size in scales for shape in ((BATCH, 1, C), (BATCH, *size, C))]
    inputs = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    found, right = (results(function, modules, inputs) for function in (ours, formula))
    for name in ('values', 'gradients', 'draws'):
        torch.testing.assert_close(found[name], right[name], rtol=tolerance, atol=tolerance)
