"""Layer norm, alone and after a residual addition."""

import pytest
import torch
import torch.nn.functional as F

from .common import check, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused

EPS = 1e-6


def plain_norm(x, gamma, beta):
    return F.layer_norm(x, gamma.shape, gamma, beta, EPS)


def plain_add(x, branch, gamma, beta):
    return x + branch, plain_norm(x + branch, gamma, beta)


def fused_norm(x, gamma, beta):
    return fused.layer_norm(x, gamma, beta, EPS)


def fused_add(*inputs):
    return fused.add_norm(*inputs, EPS)[:2]


def norm_inputs(channels, shape=(2, 5, 7), dtype=torch.float32):
    return (
        draw(*shape, channels, dtype=dtype) + 1,
        draw(channels, seed=1) + 1,
        draw(channels, seed=2),
    )


@pytest.mark.parametrize('channels', [1, 64, 152, 216, 320, 512])
def test_norm(channels):
    check(fused_norm, plain_norm, norm_inputs(channels))


@pytest.mark.parametrize('channels', [64, 152, 320])
def test_add_norm(channels):
    x, gamma, beta = norm_inputs(channels, (1, 9, 6))
    check(fused_add, plain_add, (x, draw(*x.shape, seed=3), gamma, beta))


def test_class_token():
    check(fused_norm, plain_norm, norm_inputs(64, (3, 1)))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_branch_on_a_float32_residual(dtype):
    x, gamma, beta = norm_inputs(64)
    branch = draw(*x.shape, dtype=dtype)
    total, normed, mean, _ = fused.add_norm(x, branch, gamma, beta, EPS)
    assert (total.dtype, normed.dtype, mean.dtype) == (torch.float32,) * 3
    check(fused_add, plain_add, (x, branch, gamma, beta), 5e-3)


def test_only_one_of_the_two_results_used():
    x, gamma, beta = norm_inputs(32)
    inputs = x, draw(*x.shape, seed=3), gamma, beta
    check(lambda *a: fused_add(*a)[1], lambda *a: plain_add(*a)[1], inputs)
    x, branch = (t.clone().requires_grad_() for t in inputs[:2])
    fused_add(x, branch, gamma, beta)[0].sum().backward()
    assert x.grad.eq(1).all() and branch.grad.eq(1).all()


def test_wrong_shapes_are_refused():
    x, gamma, beta = norm_inputs(32)
    with pytest.raises(ValueError, match=r'\(32,\) expected'):
        fused.layer_norm(x, gamma[:8], beta, EPS)
    with pytest.raises(ValueError, match='two equal shapes'):
        fused.add_norm(x, x[:1], gamma, beta, EPS)
