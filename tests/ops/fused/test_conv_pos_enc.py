"""Convolutional position encoding, alone and with the norm behind it."""

import pytest
import torch
import torch.nn.functional as F

from mmcoat.ops.reference import conv_pos_enc as plain

from .common import check, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused

EPS = 1e-6


def conv_inputs(channels, batch=2, height=5, width=7, size=3, dtype=torch.float32):
    """x, filters, bias; the parameters stay in float32 as under autocast."""
    x = draw(batch, height, width, channels, dtype=dtype)
    return x, draw(channels, 1, size, size) / size, draw(channels)


@pytest.mark.parametrize('channels', [64, 128, 152, 216, 5])
def test_values_and_gradients(channels):
    check(fused.conv_pos_enc, plain, conv_inputs(channels))


@pytest.mark.parametrize('height, width', [(1, 1), (1, 9), (9, 6), (17, 33)])
def test_any_size(height, width):
    check(fused.conv_pos_enc, plain, conv_inputs(8, 1, height, width))


def test_any_window():
    check(fused.conv_pos_enc, plain, conv_inputs(8, 1, 6, 5, size=5))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_with_float32_parameters(dtype):
    inputs = conv_inputs(40, dtype=dtype)
    assert fused.conv_pos_enc(*inputs).dtype == dtype
    check(fused.conv_pos_enc, plain, inputs)


def plain_norm(x, weight, bias, gamma, beta):
    x = plain(x, weight, bias)
    return x, F.layer_norm(x, gamma.shape, gamma, beta, EPS)


def fused_norm(*inputs):
    return fused.conv_pos_enc_norm(*inputs, EPS)[:2]


@pytest.mark.parametrize('channels', [64, 152, 320])
def test_norm_values_and_gradients(channels):
    inputs = *conv_inputs(channels), draw(channels, seed=1), draw(channels, seed=2)
    check(fused_norm, plain_norm, inputs)


def test_norm_statistics_carry_no_gradient_and_are_those_of_the_result():
    inputs = *conv_inputs(8), draw(8), draw(8)
    out, _, mean, rstd = fused.conv_pos_enc_norm(*inputs, EPS)
    torch.testing.assert_close(mean, out.mean(-1))
    torch.testing.assert_close(rstd, (out.var(-1, correction=0) + EPS).rsqrt())


def test_wrong_filters_are_refused():
    x, weight, bias = conv_inputs(8)
    with pytest.raises(ValueError, match='odd K'):
        fused.conv_pos_enc(x, weight[..., :2, :2], bias)
