"""WeightedCrossEntropy is PyTorch's weighted mean, and takes ignored pixels."""

import pytest
import torch
import torch.nn.functional as F

from mmcoat.models import WeightedCrossEntropy


@pytest.mark.parametrize('weights', [None, [1.0, 0.2, 5.0]])
def test_equals_pytorch(weights):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 9, requires_grad=True)
    labels = torch.randint(0, 3, (2, 8, 9))
    labels[0, :3] = 255
    loss = WeightedCrossEntropy(weights, loss_weight=2.0)(logits, labels)
    weight = None if weights is None else torch.tensor(weights)
    expected = 2 * F.cross_entropy(logits, labels, weight, ignore_index=255)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0])


def test_nothing_labelled():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = WeightedCrossEntropy([1, 2, 3])(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0 and torch.isfinite(logits.grad).all()
