"""The fused operators as operators of PyTorch: torch.compile, autocast, checkpointing, DDP, opcheck."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint

from .common import DEVICE, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused

C = 16


class Block(nn.Module):
    """Every fused operator once."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cpe = nn.Conv2d(C, C, 3, padding=1, groups=C)
        self.crpe = nn.ModuleList(
            nn.Conv2d(n, n, k, padding=k // 2, groups=n) for k, n in ((3, 8), (5, 8))
        )
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.qkv, self.proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.fc1, self.fc2 = nn.Linear(C, 2 * C), nn.Linear(2 * C, C)

    def forward(self, cls_token, x):
        norms = [(norm.weight, norm.bias, 1e-6) for norm in (self.norm1, self.norm2)]
        factor = cls_token.new_full((1,), 1.25)
        x = fused.conv_pos_enc(x, self.cpe.weight, self.cpe.bias)
        qkv = fused.norm_qkv((cls_token, x), *norms[0], self.qkv.weight, self.qkv.bias)
        weights, biases = [c.weight for c in self.crpe], [c.bias for c in self.crpe]
        out = fused.conv_attention(*qkv, fused.pack_filters(weights, biases, 2), 2, 0.3)
        tokens = (cls_token, x)
        tokens = fused.linear_add(out, self.proj.weight, self.proj.bias, tokens, factor)
        layers = (self.fc1.weight, self.fc2.weight), (self.fc1.bias, self.fc2.bias)
        cls_token, x = fused.norm_mlp(tokens, *norms[1], *layers, factor)
        maps = [x, x[:, ::2, ::2].contiguous()]
        return cls_token, *fused.scale_exchange(maps, maps, [factor, factor])


def block_inputs():
    return draw(1, 1, C), draw(1, 3, 4, C)


def run(function, block, *inputs):
    """Outputs, and gradients of the parameters."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    outs = function(*inputs)
    parameters = [*block.parameters(), *inputs]
    return [*outs, *torch.autograd.grad(sum(x.square().sum() for x in outs), parameters)]


def test_compiles_as_one_graph():
    block = Block().to(DEVICE)
    torch._dynamo.reset()
    compiled = torch.compile(block, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(
        run(compiled, block, *block_inputs()), run(block, block, *block_inputs())
    )


def test_compiles_under_autocast():
    block = Block().to(DEVICE)
    torch._dynamo.reset()

    def cast(*inputs):
        with torch.autocast(DEVICE, torch.bfloat16):
            return block(*inputs)

    compiled = torch.compile(cast, fullgraph=True, backend='aot_eager')
    pairs = zip(
        run(compiled, block, *block_inputs()), run(cast, block, *block_inputs()), strict=True
    )
    # sums of gradients are rounded to bfloat16 in another order
    assert all((a - b).abs().max() <= 0.02 * b.abs().max() for a, b in pairs)


def test_autocast_dtypes():
    block = Block().to(DEVICE)
    _, x = block_inputs()
    filters = [conv.weight for conv in block.crpe], [conv.bias for conv in block.crpe]
    qkv_cls, qkv = draw(1, 1, 3, C), draw(1, 3, 4, 3, C)
    tokens = block_inputs()
    norm = block.norm1.weight, block.norm1.bias, 1e-6
    layers = (block.fc1.weight, block.fc2.weight), (block.fc1.bias, block.fc2.bias)
    factor = x.new_ones(1)
    with torch.autocast(DEVICE, torch.bfloat16):
        encoded = fused.conv_pos_enc(x, block.cpe.weight, block.cpe.bias)
        qkvs = fused.norm_qkv(tokens, *norm, block.qkv.weight, block.qkv.bias)
        outs = fused.conv_attention(qkv_cls, qkv, fused.pack_filters(*filters, 2), 2, 0.3)
        sums = fused.linear_add(outs, block.proj.weight, block.proj.bias, tokens, factor)
        mlps = fused.norm_mlp(sums, *norm, *layers, factor)
    assert {t.dtype for t in (encoded, *sums, *mlps)} == {torch.float32}  # with a residual
    assert {t.dtype for t in (*qkvs, *outs)} == {torch.bfloat16}
    grads = torch.autograd.grad(outs[1].float().sum(), block.crpe.parameters())
    assert {grad.dtype for grad in grads} == {torch.float32}


def test_checkpointing_changes_nothing():
    block = Block().to(DEVICE)

    def recomputed(*inputs):
        return checkpoint(block, *inputs, use_reentrant=False)

    ours, right = run(recomputed, block, *block_inputs()), run(block, block, *block_inputs())
    assert all(torch.equal(a, b) for a, b in zip(ours, right, strict=True))


def test_distributed_data_parallel(tmp_path):
    if DEVICE != 'cpu':
        pytest.skip('one process with gloo')
    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        block = Block()
        wrapped = nn.parallel.DistributedDataParallel(block)
        sum(x.square().sum() for x in wrapped(*block_inputs())).backward()
        ours = [p.grad for p in block.parameters()]
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(ours, run(block, block, *block_inputs())[3:-2])


def operator_calls():
    """Arguments of the operators of the forward pass, by name."""
    x, weight, bias = draw(1, 3, 4, C), draw(C, 1, 3, 3), draw(C)
    grads = [t.requires_grad_() for t in (x, weight, bias, draw(C), draw(C, seed=1))]
    x, weight, bias, gamma, beta = grads
    qkv_cls, qkv = (draw(1, *size, 3, C).requires_grad_() for size in ((1,), (3, 4)))
    filters = fused.pack_filters([draw(C, 1, 3, 3)], [draw(C)], 2)
    params = filters.params.detach().requires_grad_()
    attention = qkv_cls, qkv, params, filters.packed, filters.windows, filters.heads, 2, 0.3, 4
    maps = [x, draw(1, 2, 2, C).requires_grad_()]
    residuals = [draw(*m.shape, seed=1).requires_grad_() for m in maps]
    factors = [draw(1), draw(1, seed=1)]
    norm = x.detach(), gamma.detach(), beta.detach(), 1e-6, torch.float32
    return {
        'conv_pos_enc': (x, weight, bias),
        'layer_norm': norm,  # without a gradient of its own
        'conv_attention': attention,
        'scale_exchange': (maps, residuals, factors),
    }


@pytest.mark.parametrize('name', operator_calls())
def test_opcheck(name):
    # Static shapes: a map's sizes choose the blocks of its kernels, so a graph is made for each size.
    tests = (
        'test_schema',
        'test_autograd_registration',
        'test_faketensor',
        'test_aot_dispatch_static',
    )
    operator = getattr(torch.ops.mmcoat, name).default
    torch.library.opcheck(operator, operator_calls()[name], test_utils=tests)
