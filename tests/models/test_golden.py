"""CoaT is equal to the official code, number for number."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmcoat import CoaT
from mmcoat.checkpoints import own_state_dict
from tests import golden


@pytest.fixture(scope='module', params=list(golden.ARCHS))
def official(request):
    """One arch: its golden record, and the official state dict, made once for all tests of the arch."""
    record = golden.load('coat.json')[golden.ARCHS[request.param]]
    weights = golden.state_dict(record['state_dict'])
    return SimpleNamespace(arch=request.param, record=record, weights=weights)


def build(official, **kwargs) -> CoaT:
    model = CoaT(official.arch, **kwargs)
    model.load_state_dict(official.weights)
    return model.eval()


def test_features(official):
    model = build(official)
    assert len(official.record['features']) == 3  # one of them odd at every scale
    for case in official.record['features']:
        with torch.inference_mode():
            outputs = model(golden.image(case['input']))
        assert len(outputs) == len(case['outputs']) == 4
        for output, expected in zip(outputs, case['outputs'], strict=True):
            golden.assert_matches(output, expected)


@pytest.mark.parametrize('with_cp', [False, True])
def test_gradients(official, with_cp):
    if with_cp and official.arch not in ('lite_tiny', 'tiny'):
        pytest.skip('checkpointing is compared with plain once for each kind of model')
    model = build(official, with_cp=with_cp).train()
    expected = official.record['gradients']
    loss = sum((x**2).mean() for x in model(golden.image(expected['input'])))
    np.testing.assert_allclose(loss.item(), expected['loss'], rtol=1e-5)
    loss.backward()
    parameters = dict(model.named_parameters())
    names = official_names(official, expected['norm'])
    assert set(names) == set(parameters)
    for name, parameter in parameters.items():
        norm = parameter.grad.double().norm().item()
        golden_norm = expected['norm'][names[name]]
        np.testing.assert_allclose(norm, golden_norm, rtol=1e-3, err_msg=name)


def official_names(official, wanted: dict) -> dict[str, str]:
    """Return {our name: official name}, by translating a state dict that holds numbers of names."""
    keys = list(official.weights)
    numbered = {key: torch.tensor(i) for i, key in enumerate(keys) if key in wanted}
    return {name: keys[i] for name, i in own_state_dict(numbered).items()}


def test_logits(official):
    expected = official.record['classifier']
    extra = golden.state_dict(expected['extra_state_dict'])
    model = CoaT(official.arch, out_type='cls_token')
    model.load_state_dict(official.weights | extra)
    with torch.inference_mode():
        (embedding,) = model.eval()(golden.image(expected['input']))
        logits = torch.nn.functional.linear(embedding, extra['head.weight'], extra['head.bias'])
    golden.assert_matches(logits, expected['logits'])


def test_parameter_counts(official):
    model = CoaT(official.arch)
    assert sum(p.numel() for p in model.parameters()) == official.record['parameters']
