"""Convolutional position encoding."""

import pytest
import torch

from mmcoat.ops.reference import conv_pos_enc as plain

from .common import check, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused


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


def test_wrong_filters_are_refused():
    x, weight, bias = conv_inputs(8)
    with pytest.raises(ValueError, match='odd K'):
        fused.conv_pos_enc(x, weight[..., :2, :2], bias)
