"""The whole backbone on the fused operators: features and gradients of the reference."""

import copy

import pytest
import torch

from mmcoat.models import CoaT
from mmcoat.ops import backend

from .common import DEVICE, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

ARCH = dict(
    embed_dims=[16, 24, 24],
    serial_depths=[1, 1, 1],
    mlp_ratios=[2, 2, 2],
    num_heads=8,
    parallel_depth=1,
    parallel_stages=[1, 2],
)


def features_and_gradients(model, image):
    features = model(image)
    loss = sum((x * draw(*x.shape).to(x)).sum() for x in features)
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [*features, *(g for g in gradients if g is not None)]


def test_backbone(monkeypatch):
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)
    torch.manual_seed(0)
    model = CoaT(ARCH, out_indices=(0, 1, 2)).to(DEVICE).train()
    right = copy.deepcopy(model).double().set_backend('reference')
    image = draw(1, 3, 34, 51)
    pairs = list(
        zip(
            features_and_gradients(model, image),
            features_and_gradients(right, image.double()),
            strict=True,
        )
    )
    assert len(pairs) > 50
    for ours, truth in pairs:
        assert (ours - truth).abs().max() < 2e-5 * truth.abs().max().clamp(min=1e-3)
