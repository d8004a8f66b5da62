"""The whole backbone on the fused operators: features and gradients of the reference, no operator unused."""

import ast
import copy
from functools import partial
from pathlib import Path

import pytest
import torch

from mmcoat.models import CoaT
from mmcoat.ops import backend
from tests.helpers import Operators

from .common import DEVICE, draw

pytest.importorskip('triton', reason='the fused operators are written in Triton')

from mmcoat.ops import fused
from mmcoat.ops.fused.launching import OPERATORS, record_launches

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


def kernels() -> set[str]:
    """Names of all kernels; what else is in their files runs inside them."""
    files = (Path(fused.__file__).parent / 'kernels').glob('*.py')
    functions = [node for file in files for node in ast.parse(file.read_text()).body]
    found = {n.name for n in functions if isinstance(n, ast.FunctionDef)}
    return {name for name in found if name.endswith('_kernel')}


def test_a_model_reaches_every_operator(monkeypatch):
    """Every function that the package exports, every operator behind it, and every kernel."""
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)
    called = set()
    for name in fused.__all__:

        def recorded(function, *args, name=name):
            called.add(name)
            return function(*args)

        monkeypatch.setattr(fused, name, partial(recorded, getattr(fused, name)))
    model = CoaT(ARCH, out_indices=(0, 1, 2), drop_path_rate=0.5).to(DEVICE).train()
    with Operators('mmcoat') as record, record_launches() as launches:
        sum(x.sum() for x in model(draw(1, 3, 16, 20))).backward()
    assert called == set(fused.__all__)
    assert record.names == set(OPERATORS)
    assert {launch.name for launch in launches} == kernels()
