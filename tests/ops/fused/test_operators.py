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
        self.qkv = nn.Linear(C, 3 * C)

    def forward(self, cls_token, x):
        norm = self.norm1.weight, self.norm1.bias, 1e-6
        x = fused.conv_pos_enc(x, self.cpe.weight, self.cpe.bias)
        x, normed, *_ = fused.conv_pos_enc_norm(x, self.cpe.weight, self.cpe.bias, *norm)
        qkv_cls = self.qkv(fused.layer_norm(cls_token, *norm)).unflatten(-1, (3, -1))
        qkv = self.qkv(normed).unflatten(-1, (3, -1))
        filters = [conv.weight for conv in self.crpe], [conv.bias for conv in self.crpe]
        cls_token, out = fused.conv_attention(qkv_cls, qkv, *filters, 2, 0.3)
        x, normed, *_ = fused.add_norm(x, out, self.norm2.weight, self.norm2.bias, 1e-6)
        small = normed[:, ::2, ::2].contiguous()
        first, second = fused.scale_exchange([normed, small], [x.to(normed), small])
        return cls_token, first, second


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
    norm = block.norm1.weight, block.norm1.bias, 1e-6
    with torch.autocast(DEVICE, torch.bfloat16):
        encoded, normed, mean, _ = fused.conv_pos_enc_norm(
            x, block.cpe.weight, block.cpe.bias, *norm
        )
        outs = fused.conv_attention(qkv_cls, qkv, *filters, 2, 0.3)
    assert (encoded.dtype, normed.dtype, mean.dtype) == (
        torch.float32,
        torch.bfloat16,
        torch.float32,
    )
    assert {out.dtype for out in outs} == {torch.bfloat16}
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
    """Arguments of every operator that has a gradient, by name."""
    x, weight, bias = draw(1, 3, 4, C), draw(C, 1, 3, 3), draw(C)
    grads = [t.requires_grad_() for t in (x, weight, bias, draw(C), draw(C, seed=1))]
    x, weight, bias, gamma, beta = grads
    branch = draw(1, 3, 4, C, seed=1).requires_grad_()
    qkv_cls, qkv = (draw(1, *size, 3, C).requires_grad_() for size in ((1,), (3, 4)))
    filters = fused.pack_filters([draw(C, 1, 3, 3)], [draw(C)], 2)
    params = filters.params.detach().requires_grad_()
    attention = qkv_cls, qkv, params, filters.packed, filters.windows, filters.heads, 2, 0.3, 4
    norm = gamma, beta, 1e-6, torch.float32
    return {
        'conv_pos_enc': (x, weight, bias),
        'conv_pos_enc_norm': (x, weight, bias, *norm),
        'add_norm': (x, branch, *norm),
        'conv_attention': attention,
        'scale_exchange': ([x, draw(1, 2, 2, C).requires_grad_()], []),
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


def test_float64_is_refused():
    with pytest.raises(ValueError, match='got float64'):
        fused.layer_norm(draw(2, C, dtype=torch.float64), draw(C), draw(C), 1e-6)
