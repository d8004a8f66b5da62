"""Layer norm as the fused operations use it: forward, and backward with what comes from a residual."""

import pytest
import torch
import torch.nn.functional as F

from .common import TOLERANCE, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops.fused.layer_norm import layer_norm_backward, layer_norm_op

EPS = 1e-6


def compare(channels, shape=(2, 5, 7), dtype=torch.float32, skip=True, tolerance=None):
    x = (draw(*shape, channels) + 1).to(dtype)
    gamma, beta = draw(channels, seed=1) + 1, draw(channels, seed=2)
    grad, d_skip = draw(*x.shape, seed=3, dtype=dtype), draw(*x.shape, seed=4, dtype=dtype)
    normed, mean, rstd = layer_norm_op(x, gamma, beta, EPS, dtype)
    assert (normed.dtype, mean.dtype, rstd.dtype) == (dtype, torch.float32, torch.float32)
    ours = [
        normed,
        *layer_norm_backward(grad, d_skip if skip else None, x, mean, rstd, gamma),
    ]
    leaves = [t.double().requires_grad_() for t in (x, gamma, beta)]
    right = F.layer_norm(leaves[0], (channels,), *leaves[1:], EPS)
    loss = (right * grad).sum() + (leaves[0] * d_skip).sum() * skip
    for a, b in zip(ours, [right, *torch.autograd.grad(loss, leaves)], strict=True):
        limit = tolerance or TOLERANCE[dtype]
        assert (a.double() - b).abs().max() < limit * b.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize('skip', [True, False])
@pytest.mark.parametrize('channels', [1, 64, 152, 216, 320, 512])
def test_norm(channels, skip):
    compare(channels, skip=skip)


def test_class_token():
    compare(64, (3, 1))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    compare(64, dtype=dtype)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r'\(32,\) expected'):
        layer_norm_op(draw(2, 32), draw(8), draw(32), EPS, torch.float32)


def test_float64_is_refused():
    with pytest.raises(ValueError, match='got float64'):
        layer_norm_op(draw(2, 8, dtype=torch.float64), draw(8), draw(8), EPS, torch.float64)
