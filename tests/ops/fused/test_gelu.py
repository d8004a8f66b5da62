"""GELU and its gradient with one read."""

import pytest
import torch.nn.functional as F

from .common import TOLERANCE, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops.fused.gelu import gelu_with_grad


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('shape', [(2, 3, 5, 64), (4099,)])
def test_values(shape, dtype):
    hidden = (3 * draw(*shape)).to(dtype)
    grad = draw(*shape, dtype=dtype, seed=1)
    right_input = hidden.double().requires_grad_()
    right = F.gelu(right_input)
    right.backward(grad.double())
    for ours, truth in zip(gelu_with_grad(hidden, grad), (right, right_input.grad), strict=True):
        assert ours.dtype == dtype
        assert (ours - truth).abs().max() / truth.abs().max() < TOLERANCE[dtype]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match='two equal shapes'):
        gelu_with_grad(draw(4), draw(5))
