"""The trial of the fused operations must find inserted faults, such as a GPU might have."""

import json
from types import SimpleNamespace

import pytest
import torch

from mmcoat import ops
from mmcoat.ops import backend, fused, plain, reference, selfcheck

from .common import DEVICE

CPU = torch.device(DEVICE)
FLOAT = torch.float32


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """A cache of its own, and no verdicts of another test."""
    monkeypatch.setenv('MMCOAT_CACHE', str(tmp_path))
    monkeypatch.setattr(selfcheck, '_forms', {})
    monkeypatch.setattr(selfcheck, 'any_replaced', False)
    monkeypatch.setattr(backend, '_triton', True)
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)


def broken(**changes):
    """The fused form with other functions in it."""
    functions = {name: getattr(fused, name) for name in reference.__all__}
    return SimpleNamespace(**functions | changes)


def only(monkeypatch, *names):
    """Try these operations alone: Triton's interpreter is slow."""
    trials = selfcheck._trials()
    monkeypatch.setattr(selfcheck, '_trials', lambda: {name: trials[name] for name in names})


def wrong_mlp(*args):
    return tuple(x * 1.01 for x in fused.norm_mlp(*args))


@pytest.mark.parametrize('dtypes', [(FLOAT, FLOAT), (FLOAT, torch.bfloat16)])
def test_all_operations_stand_the_trial(dtypes):
    assert selfcheck.examine(fused, CPU, *dtypes) == {}


def test_every_operation_is_tried():
    assert {*selfcheck._trials()} | {*selfcheck.TOGETHER} == {*reference.__all__}


def test_other_numbers_are_found(monkeypatch):
    only(monkeypatch, 'norm_mlp', 'norm_qkv')
    form = selfcheck.checked(broken(norm_mlp=wrong_mlp), torch.zeros(1, device=CPU))
    assert form.norm_mlp is plain.norm_mlp
    assert form.norm_qkv is fused.norm_qkv
    assert 'norm_mlp' in form.failures
    assert 'allowed 1e-04' in form.failures['norm_mlp']
    assert selfcheck.any_replaced


@pytest.mark.parametrize('name', reference.__all__)
def test_an_operation_that_stops_is_replaced(monkeypatch, name):
    only(monkeypatch, selfcheck.TOGETHER.get(name, name))

    def stop(*args):
        raise RuntimeError('out of resource: shared memory\nmore')

    form = selfcheck.checked(broken(**{name: stop}), torch.zeros(1, device=CPU))
    assert getattr(form, name) is getattr(plain, name)
    if name in ('pack_filters', 'conv_attention'):  # the one's filters are not the other's
        assert form.pack_filters is plain.pack_filters
        assert form.conv_attention is plain.conv_attention
    assert list(form.failures.values()) == ['RuntimeError: out of resource: shared memory']


def test_nan_is_no_agreement(monkeypatch):
    only(monkeypatch, 'linear_add')
    nan = broken(linear_add=lambda *a: tuple(x * float('nan') for x in fused.linear_add(*a)))
    assert 'linear_add' in selfcheck.examine(nan, CPU, FLOAT, FLOAT)


def test_fused_must_or_says_why(monkeypatch):
    only(monkeypatch, 'norm_mlp')
    monkeypatch.setattr(fused, 'norm_mlp', lambda *a: tuple(x + 1 for x in plain.norm_mlp(*a)))
    x = torch.zeros(1, device=CPU)
    assert ops.select('auto', x).norm_mlp is plain.norm_mlp
    with pytest.raises(RuntimeError, match='norm_mlp failed its trial'):
        ops.select('fused', x)


def test_verdicts_are_kept(monkeypatch, tmp_path):
    only(monkeypatch, 'norm_mlp', 'norm_qkv')
    selfcheck.examine(broken(norm_mlp=wrong_mlp), CPU, FLOAT, FLOAT)
    [(key, kept)] = json.loads((tmp_path / 'selfcheck.json').read_text()).items()
    assert torch.__version__ in key
    assert kept['norm_qkv'] == ''
    # nothing is tried again, a form that would fail included
    assert list(selfcheck.examine(SimpleNamespace(), CPU, FLOAT, FLOAT)) == ['norm_mlp']


def test_a_trial_that_ended_the_process_is_remembered(monkeypatch):
    only(monkeypatch, 'scale_exchange')

    class Ended(BaseException):
        pass

    def end(*args):
        raise Ended

    with pytest.raises(Ended):
        selfcheck.examine(broken(scale_exchange=end), CPU, FLOAT, FLOAT)
    assert 'ended the process' in selfcheck.examine(fused, CPU, FLOAT, FLOAT)['scale_exchange']


def test_a_broken_cache_is_no_obstacle(monkeypatch, tmp_path):
    only(monkeypatch, 'linear_add')
    (tmp_path / 'selfcheck.json').write_text('no json')
    assert selfcheck.examine(fused, CPU, FLOAT, FLOAT) == {}
