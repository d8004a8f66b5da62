"""The exchange between scales, compared with PyTorch's bilinear resize at sizes that do not divide."""

import pytest
import torch

from mmcoat.ops import reference

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


def residual_inputs(sizes, channels=8, batch=1, dtype=torch.float32):
    """Maps, then their residuals in float32."""
    return maps(sizes, channels, batch, dtype) + maps(sizes, channels, batch, seed=1)


def call(form, factors=None):
    def exchange(*x):
        half = len(x) // 2
        scales = [None if f is None else f.to(x[half]) for f in factors or [None] * half]
        return form.scale_exchange(list(x[:half]), list(x[half:]), scales)

    return exchange


@pytest.mark.parametrize('sizes', SIZES.values(), ids=SIZES.keys())
def test_values_and_gradients(sizes):
    check(call(fused), call(reference), residual_inputs(sizes), 5e-6)


@pytest.mark.parametrize('sizes', [SIZES['odd'], SIZES['five scales']])
def test_factors_of_the_samples(sizes):
    """One scale without a factor beside others with one; five scales take two launches."""
    factors = [1.25 * (draw(2, seed=i) > 0) for i in range(len(sizes))]
    factors[1] = None
    functions = call(fused, factors), call(reference, factors)
    check(*functions, residual_inputs(sizes, batch=2), 5e-6)


@pytest.mark.parametrize('channels, batch', [(64, 2), (152, 1)])
def test_batches_and_channels(channels, batch):
    inputs = residual_inputs([(5, 3), (3, 2), (1, 2)], channels, batch)
    check(call(fused), call(reference), inputs, 5e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_maps_on_a_float32_residual(dtype):
    inputs = residual_inputs(SIZES['unordered'][1:], dtype=dtype)
    assert {x.dtype for x in call(fused)(*inputs)} == {torch.float32}
    check(call(fused), call(reference), inputs)


def test_wrong_shapes_are_refused():
    a, b = maps([(2, 2), (3, 3)])
    with pytest.raises(ValueError, match='equal batch, channels'):
        fused.scale_exchange([a, b[..., :4]], [a, b], [None, None])
    with pytest.raises(ValueError, match='shapes of the maps'):
        fused.scale_exchange([a, b], [b, a], [None, None])
