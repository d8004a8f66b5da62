"""The exchange between scales; PyTorch's bilinear resize is the judge, at sizes that do not divide."""

import pytest
import torch

from mmcoat.ops.reference import scale_exchange as plain

from .common import check, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused

SIZES = {
    'halves': [(8, 12), (4, 6), (2, 3)],
    'odd': [(9, 7), (4, 3), (2, 1)],
    'unordered': [(2, 3), (7, 9), (5, 4)],
    'two scales': [(5, 3), (3, 5)],
    'one scale': [(3, 4)],
    'equal': [(3, 4), (3, 4)],
    'wide apart': [(6, 1), (1, 5), (3, 3)],
    'five scales': [(3, 2), (2, 3), (2, 2), (1, 2), (1, 1)],
}


def maps(sizes, channels=8, batch=1, dtype=torch.float32, seed=0):
    return [draw(batch, *size, channels, dtype=dtype, seed=seed) for size in sizes]


@pytest.mark.parametrize('sizes', SIZES.values(), ids=SIZES.keys())
def test_values_and_gradients(sizes):
    check(lambda *x: fused.scale_exchange(x), lambda *x: plain(x), maps(sizes), 5e-6)


@pytest.mark.parametrize('channels, batch', [(64, 2), (152, 1)])
def test_residuals_and_channels(channels, batch):
    sizes = [(5, 3), (3, 2), (1, 2)]
    inputs = maps(sizes, channels, batch) + maps(sizes, channels, batch, seed=1)

    def ours(*x):
        return fused.scale_exchange(x[:3], x[3:])

    def right(*x):
        return [out + residual for out, residual in zip(plain(x[:3]), x[3:], strict=True)]

    check(ours, right, inputs, 5e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_maps_on_a_float32_residual(dtype):
    sizes = SIZES['unordered'][1:]
    outs = fused.scale_exchange(maps(sizes, dtype=dtype), maps(sizes))
    assert {x.dtype for x in outs} == {torch.float32}
    check(lambda *x: fused.scale_exchange(x), lambda *x: plain(x), maps(sizes, dtype=dtype))


def test_wrong_shapes_are_refused():
    a, b = maps([(2, 2), (3, 3)])
    with pytest.raises(ValueError, match='equal batch, channels'):
        fused.scale_exchange([a, b[..., :4]])
    with pytest.raises(ValueError, match='shapes of the maps'):
        fused.scale_exchange([a, b], [b, a])
