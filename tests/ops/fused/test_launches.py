"""Launches and bytes of the fused operators: the figures of docs/kernels.md, counted from the launches."""

import re
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmcoat.models.backbones.blocks import SerialBlock
from mmcoat.models.backbones.conv_attention import ConvPosEnc, ConvRelPosEnc
from mmcoat.ops import backend

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused
from mmcoat.ops.fused.launching import record_launches

DOCS = Path(__file__).parents[3] / 'docs' / 'kernels.md'
B, H, W, C, HEADS = 16, 128, 128, 64, 8  # CoaT-Lite Small, first stage, 512 px
A = B * H * W * C * 2  # bytes of one pass in bfloat16


@pytest.fixture(autouse=True)
def small_chip():
    """The block sizes of a GPU, not those for the interpreter."""


def empty(*shape, dtype=torch.bfloat16):
    return torch.empty(shape, device='meta', dtype=dtype, requires_grad=True)


def parameter(*shape):
    return empty(*shape, dtype=torch.float32)


def conv_pos_enc():
    return fused.conv_pos_enc(empty(B, H, W, C), parameter(C, 1, 3, 3), parameter(C))


def norm_qkv():
    """Only the norm: the following matrix product is PyTorch's."""
    params = parameter(C), parameter(C), 1e-6, parameter(3 * C, C), parameter(3 * C)
    return fused.norm_qkv((empty(B, H, W, C),), *params)


def filters():
    groups, width = ((3, 2), (5, 3), (7, 3)), C // HEADS
    weights = [parameter(n * width, 1, k, k) for k, n in groups]
    return fused.pack_filters(weights, [parameter(n * width) for _, n in groups], HEADS)


def pack_filters():
    return filters().params


PACKED = filters()  # before any counting: once for a stage
PACKED = PACKED._replace(params=PACKED.params.detach().requires_grad_())


def conv_attention():
    qkv_cls, qkv = empty(B, 1, 3, C), empty(B, H, W, 3, C)
    return fused.conv_attention(qkv_cls, qkv, PACKED, HEADS, (C // HEADS) ** -0.5)


def scale_exchange():
    """One pass is the sum of the three maps."""
    maps = [empty(B, H // n, W // n, C) for n in (1, 2, 4)]
    return fused.scale_exchange(maps, [empty(*x.shape) for x in maps], [None] * 3)


def count(function):
    """(launches, passes) forward and backward; sums of a table and casts of PyTorch's are not counted."""
    unit = A * (1 + 1 / 4 + 1 / 16) if function is scale_exchange else A
    with record_launches() as forward:
        outs = function()
    outs = [outs] if isinstance(outs, torch.Tensor) else list(outs)
    with record_launches() as backward:
        torch.autograd.backward(outs, [torch.empty_like(x) for x in outs])
    return [
        number
        for record in (forward, backward)
        for number in (len(record), sum(x.bytes for x in record) / unit)
    ]


FUNCTIONS = [pack_filters, conv_pos_enc, norm_qkv, conv_attention, scale_exchange]


@pytest.mark.parametrize('function', FUNCTIONS, ids=lambda function: function.__name__)
def test_the_document_tells_what_the_code_does(function):
    row = re.search(rf'^\| `{function.__name__}` \|([\d.| ]+)\|$', DOCS.read_text(), re.MULTILINE)
    documented = [float(cell) for cell in row.group(1).split('|')]
    launches, passes, back_launches, back_passes = count(function)
    assert documented == [launches, round(passes, 1), back_launches, round(back_passes, 1)]


def test_all_bytes_of_a_view_are_counted_and_no_more():
    with record_launches() as record:
        conv_attention()
    parts = {launch.name: launch.bytes / A for launch in record}
    assert parts['token_product_kernel'] == pytest.approx(2, abs=0.05)  # K, V
    assert parts['attention_kernel'] == pytest.approx(3, abs=0.05)  # Q, V, the result


class CountPasses(TorchDispatchMode):
    """Bytes that PyTorch's own operations read and write; those of the fused operators are recorded."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        free = function.is_view or function.__name__.startswith(('empty', 'new_empty', 'detach'))
        if (
            not free
            and function.__name__ != '_unsafe_view.default'
            and function.namespace != 'mmcoat'
        ):
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return out


def block_passes(ratio, drop_path_rate=0.0):
    """Passes of a serial block, forward and backward."""
    with torch.device('meta'):
        modules = SerialBlock(C, HEADS, ratio, 0.0, drop_path_rate), ConvPosEnc(C), ConvRelPosEnc(C)
    block, cpe, crpe = (module.bfloat16() for module in modules)
    tokens = empty(B, 1, C), empty(B, H, W, C)
    filters = crpe(tokens[1])  # once a stage, so not of the block
    leaves = [*tokens, *(p for module in modules for p in module.parameters())]
    with record_launches() as record, CountPasses() as forward:
        outs = block(*tokens, cpe, filters)
    passes = (forward.bytes + sum(x.bytes for x in record)) / A
    with record_launches() as record, CountPasses() as backward:
        torch.autograd.grad(outs, leaves, [torch.empty_like(x) for x in outs])
    return passes, (backward.bytes + sum(x.bytes for x in record)) / A


@pytest.mark.parametrize('ratio', [4, 8])
def test_passes_of_a_block(monkeypatch, ratio):
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)
    text = DOCS.read_text()
    forward = re.search(r'\*\*passes forward\*\* .* \*\*(\d+) \+ (\d+) r\*\* \|\n', text).groups()
    backward = re.search(r'\*\*together\*\* \| \*\*(\d+) \+ (\d+) r\*\*', text).groups()
    documented = [int(fixed) + int(per_ratio) * ratio for fixed, per_ratio in (forward, backward)]
    assert block_passes(ratio) == pytest.approx(documented, abs=0.6)  # class token, statistics


def test_passes_of_drop_path(monkeypatch):
    """None forward, and in backward the number in the document."""
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)
    documented = int(re.search(r'Drop path takes (\d+) passes', DOCS.read_text()).group(1))
    forward, backward = zip(block_passes(4), block_passes(4, 0.5), strict=True)
    assert forward[1] - forward[0] == pytest.approx(0, abs=0.1)
    assert backward[1] - backward[0] == pytest.approx(documented, abs=0.1)
