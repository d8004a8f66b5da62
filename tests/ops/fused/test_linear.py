"""Norm and linear layers around the fused norm."""

import pytest
import torch

from mmcoat.ops import reference

from .common import DEVICE, check, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused

EPS = 1e-6


def token_inputs(channels, shape):
    return draw(2, 1, channels), draw(2, *shape, channels)


@pytest.mark.parametrize('shape', [(5, 3), (30, 20)])  # few tokens are joined with the class token
def test_norm_qkv(shape):
    inputs = *token_inputs(16, shape), draw(16), draw(16, seed=1), draw(48, 16), draw(48)

    def call(form):
        return lambda a, b, g, s, w, bias: form.norm_qkv((a, b), g, s, EPS, w, bias)

    check(call(fused), call(reference), inputs, 1e-5)


@pytest.mark.parametrize('drops', [True, False])
@pytest.mark.parametrize('shape', [(5, 3), (30, 20)])
def test_norm_mlp(shape, drops):
    params = draw(16), draw(16, seed=1), draw(64, 16) / 4, draw(16, 64) / 8, draw(64), draw(16)
    factor = torch.tensor([0.0, 1.25], device=DEVICE)

    def call(form):
        return lambda a, b, g, s, w1, w2, b1, b2: form.norm_mlp(
            (a, b), g, s, EPS, (w1, w2), (b1, b2), factor.to(a) if drops else None
        )

    check(call(fused), call(reference), (*token_inputs(16, shape), *params), 1e-5)


def test_autocast_keeps_the_residual_in_float32():
    tokens = token_inputs(16, (5, 3))
    weights, biases = (draw(64, 16), draw(16, 64)), (draw(64), draw(16))
    inputs = [x.requires_grad_() for x in tokens]
    with torch.autocast(tokens[0].device.type, torch.bfloat16):
        outs = fused.norm_mlp(inputs, draw(16), draw(16), EPS, weights, biases, None)
        right = reference.norm_mlp(inputs, draw(16), draw(16), EPS, weights, biases, None)
    assert [x.dtype for x in outs] == [x.dtype for x in right] == [torch.float32] * 2
    grads = [torch.autograd.grad(x[1].sum(), inputs[1])[0] for x in (outs, right)]
    assert (grads[0] - grads[1]).abs().max() < 0.03 * grads[1].abs().max()


def test_hidden_activation_and_normed_tokens_are_not_kept():
    kept = []
    x = draw(1, 40, 40, 16).requires_grad_()
    weights, biases = (draw(64, 16), draw(16, 64)), (draw(64), draw(16))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fused.norm_mlp((x,), draw(16), draw(16), EPS, weights, biases, None)
    big = [t for t in kept if t.numel() >= x.numel()]
    assert sum(t.numel() for t in big) == x.numel() + 4 * x.numel()  # x and fc1's output
