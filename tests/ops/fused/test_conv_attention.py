"""The core of the conv-attention."""

import pytest
import torch

from mmcoat.ops.reference import conv_rel_pos_enc, factorized_attention

from .common import TOLERANCE, WIDTHS, check, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused
from mmcoat.ops.fused import tuning

WINDOWS = ((3, 2), (5, 3), (7, 3))


def attention_inputs(width, batch=1, size=(5, 7), windows=WINDOWS, dtype=torch.float32):
    """qkv_cls, qkv, filters and biases; the parameters stay in float32 as under autocast."""
    channels = sum(heads for _, heads in windows) * width
    weights = [draw(n * width, 1, k, k, seed=k) / k for k, n in windows]
    biases = [draw(n * width, seed=k) for k, n in windows]
    # large keys of one token: the softmax needs its maximum, and that of a part is not that of all
    qkv = draw(batch, *size, 3, channels) * 2
    qkv[:, -1, -1, 1] += 5
    qkv_cls = draw(batch, 1, 3, channels)
    return (qkv_cls.to(dtype), qkv.to(dtype), *weights, *biases), sum(n for _, n in windows)


def compare(inputs, num_heads, tolerance=None, max_splits=2):
    groups = (len(inputs) - 2) // 2
    scale = (inputs[0].shape[-1] // num_heads) ** -0.5

    def plain(qkv_cls, qkv, *params):
        out_cls, out = factorized_attention(qkv_cls, qkv, num_heads, scale)
        q, _, v = qkv.unbind(-2)
        return out_cls, out + conv_rel_pos_enc(q, v, params[:groups], params[groups:])

    def ours(qkv_cls, qkv, *params):
        filters = fused.pack_filters(params[:groups], params[groups:], num_heads)
        return fused.conv_attention(qkv_cls, qkv, filters, num_heads, scale)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, 'MAX_SPLITS', max_splits)
        check(ours, plain, inputs, tolerance)


@pytest.mark.parametrize('width', WIDTHS)
def test_values_and_gradients(width):
    compare(*attention_inputs(width), 1e-5)


@pytest.mark.parametrize('size', [(1, 1), (9, 16), (13, 11)])
def test_any_size(size):
    compare(*attention_inputs(8, 2, size), 1e-5, max_splits=3)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('width', [8, 19])
def test_half_precision_with_float32_filters(width, dtype):
    inputs, num_heads = attention_inputs(width, dtype=dtype)
    compare(inputs, num_heads, 2 * TOLERANCE[dtype])


def test_other_windows_and_heads():
    compare(*attention_inputs(8, windows=((7, 1), (1, 1), (5, 3))), 1e-5)


def test_parts_of_the_sum_are_joined(monkeypatch):
    monkeypatch.setattr(tuning, 'token_block', lambda width, itemsize: 16)
    compare(*attention_inputs(19), 1e-5, max_splits=3)


def test_large_keys_stay_in_range():
    (qkv_cls, qkv, *params), num_heads = attention_inputs(8)
    qkv[..., 1, :] += 1000  # exp() of these is infinite
    compare((qkv_cls, qkv, *params), num_heads, 1e-4)
    filters = fused.pack_filters(params[:3], params[3:], num_heads)
    out = fused.conv_attention(qkv_cls.half(), qkv.half(), filters, num_heads, 0.3)[1]
    assert out.isfinite().all()


def test_wrong_shapes_are_refused():
    (qkv_cls, qkv, *params), num_heads = attention_inputs(8)
    with pytest.raises(ValueError, match='odd K'):
        fused.pack_filters(params[:2], params[3:], num_heads)
    filters = fused.pack_filters(params[:3], params[3:], num_heads)
    with pytest.raises(ValueError, match='qkv_cls of'):
        fused.conv_attention(qkv_cls[:, 0], qkv, filters, num_heads, 1.0)
    with pytest.raises(ValueError, match='got 64 channels'):
        fused.conv_attention(qkv_cls[..., :32], qkv[..., :32], filters, 8, 1.0)
