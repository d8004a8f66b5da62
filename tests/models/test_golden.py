"""CoaT is equal to the official code, number for number."""

import numpy as np
import pytest
import torch

from mmcoat import CoaT
from mmcoat.checkpoints import own_state_dict
from tests import golden

ARCHS = list(golden.ARCHS)


def build(arch: str, classifier: bool = False) -> tuple[CoaT, dict[str, torch.Tensor], dict]:
    """Return the model with golden weights, the official state dict, and the golden record."""
    record = golden.load('coat.json')[golden.ARCHS[arch]]
    weights = golden.state_dict(record['state_dict'])
    if classifier:
        weights |= golden.state_dict(record['classifier']['extra_state_dict'])
    model = CoaT(arch, out_type='cls_token' if classifier else 'featmap')
    model.load_state_dict(weights)
    return model.eval(), weights, record


@pytest.mark.parametrize('size', range(3))
@pytest.mark.parametrize('arch', ARCHS)
def test_features(arch, size):
    model, _, record = build(arch)
    case = record['features'][size]
    with torch.inference_mode():
        outputs = model(golden.image(case['input']))
    assert len(outputs) == len(case['outputs']) == 4
    for output, expected in zip(outputs, case['outputs'], strict=True):
        golden.assert_matches(output, expected)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('arch', ARCHS)
def test_gradients(arch, with_cp):
    model, weights, record = build(arch)
    for stage in model.stages:
        stage.with_cp = with_cp
    model.with_cp = with_cp
    model.train()
    expected = record['gradients']
    loss = sum((x**2).mean() for x in model(golden.image(expected['input'])))
    np.testing.assert_allclose(loss.item(), expected['loss'], rtol=1e-5)
    loss.backward()
    # {our name: official name}, by translating a state dict that holds names instead of tensors
    names = {k: torch.tensor(i) for i, k in enumerate(weights) if k in expected['norm']}
    official = list(weights)
    own = {k: official[v] for k, v in own_state_dict(names).items()}
    parameters = dict(model.named_parameters())
    assert set(own) == set(parameters)
    for name, parameter in parameters.items():
        norm = parameter.grad.double().norm().item()
        np.testing.assert_allclose(norm, expected['norm'][own[name]], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize('arch', ARCHS)
def test_logits(arch):
    model, weights, record = build(arch, classifier=True)
    expected = record['classifier']
    with torch.inference_mode():
        (embedding,) = model(golden.image(expected['input']))
        logits = torch.nn.functional.linear(embedding, weights['head.weight'], weights['head.bias'])
    golden.assert_matches(logits, expected['logits'])


@pytest.mark.parametrize('arch', ARCHS)
def test_parameter_counts(arch):
    model, _, record = build(arch)
    assert sum(p.numel() for p in model.parameters()) == record['parameters']
