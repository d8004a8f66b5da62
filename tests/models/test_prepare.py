"""Prepared models give what model.eval() gives, and notice every change of their weights."""

import copy

import pytest
import torch
from torch import nn

from mmcoat import CoaT, list_models, prepare_for_inference
from mmcoat.errors import UsageError


def image(size=64, batch=1):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def build(arch='lite_tiny', **settings):
    torch.manual_seed(0)
    return CoaT(arch, **settings).eval()


def errors(found, exact):
    return torch.stack(
        [(a.double() - b).norm() / b.norm() for a, b in zip(found, exact, strict=True)]
    )


def assert_same(found, expected):
    assert len(found) == len(expected)
    for ours, right in zip(found, expected, strict=True):
        assert ours.dtype == torch.float32
        largest = right.detach().abs().max().item()
        torch.testing.assert_close(ours, right.detach(), rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize('arch', list_models())
def test_results(arch):
    model, x = build(arch), image(96, 2)
    before = {name: p.clone() for name, p in model.named_parameters()}
    assert_same(prepare_for_inference(model)(x), model(x))
    low = prepare_for_inference(model, torch.bfloat16)(x)
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            autocast = model(x)
        exact = copy.deepcopy(model).double()(x.double())
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert all(m.dtype == torch.float32 for m in low)
    ours, theirs = errors(low, exact), errors(autocast, exact)
    assert (ours <= 1.01 * theirs).all()
    assert (ours > 1e-4).all()  # or it would not be bfloat16


@pytest.mark.parametrize('size', [(33, 50), (320, 200)])
@pytest.mark.parametrize('backend', ['plain', 'reference'])
def test_any_size_and_form(backend, size):
    model, x = build(backend=backend, out_indices=(1, 3)), torch.randn(1, 3, *size)
    prepared = prepare_for_inference(model)
    assert_same(prepared(x), model(x))
    assert_same(prepared(image()), model(image()))


def test_class_embedding():
    model = build('tiny', out_type='cls_token')
    assert_same(prepare_for_inference(model)(image()), model(image()))


def test_no_weight_is_cast_at_a_call():
    prepared = prepare_for_inference(build(), torch.bfloat16)
    prepared(image())
    with torch.profiler.profile(record_shapes=True) as profile:
        prepared(image())
    shapes = {tuple(p.shape) for p in prepared.source.parameters() if p.dim() > 1}
    cast = [e.input_shapes[0] for e in profile.events() if e.name == 'aten::_to_copy']
    assert cast  # of activations
    assert not [shape for shape in cast if tuple(shape) in shapes]


def step_of_an_optimizer(model):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    sum(m.square().mean() for m in model(image())).backward()
    optimizer.step()
    model.eval()


def load_other_weights(model):
    torch.manual_seed(1)
    model.load_state_dict(CoaT('lite_tiny').state_dict())


def write_through_data(model):
    for parameter in model.parameters():  # as MMEngine's EMAHook swaps weights
        parameter.data.copy_(parameter.data * 1.1)


def replace_data(model):
    layer = model.stages[3].blocks[0].mlp.fc2
    layer.weight.data = torch.randn_like(layer.weight)


def replace_parameter(model):
    layer = model.stages[0].crpe.convs[2]
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


def replace_module(model):
    model.stages[1].blocks[0] = copy.deepcopy(model.stages[1].blocks[1])


def load_into_the_prepared(model):
    torch.manual_seed(1)
    prepare_for_inference(model).load_state_dict(CoaT('lite_tiny').state_dict())


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    'change',
    [
        step_of_an_optimizer,
        load_other_weights,
        write_through_data,
        replace_data,
        replace_parameter,
        replace_module,
        load_into_the_prepared,
    ],
)
def test_changes_are_noticed(change, dtype):
    model = build()
    prepared = prepare_for_inference(model, dtype)
    old = prepared(image())
    change(model)
    new = prepared(image())
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=dtype != torch.float32):
        assert_same(new, [m.float() for m in model(image())])
    assert not torch.equal(new[3], old[3])


def test_prepares_once_for_many_calls(monkeypatch):
    prepared = prepare_for_inference(build())
    prepared(image())
    monkeypatch.setattr('mmcoat.models.prepare._prepare', lambda *_: pytest.fail('prepared again'))
    prepared(image(96))
    prepared.source.train().eval()
    prepared(image())


def test_training_mode_is_refused_and_eval_is_not():
    prepared = prepare_for_inference(build())
    assert prepared.eval() is prepared and not prepared.training
    with pytest.raises(UsageError, match='only infers'):
        prepared.train()


def test_a_source_in_training_mode_is_run_as_in_evaluation():
    model = build(drop_path_rate=0.5)
    expected = model(image())
    assert_same(prepare_for_inference(model.train())(image()), expected)
    assert model.training


def test_copies_and_state():
    model = build()
    prepared = prepare_for_inference(model, torch.bfloat16)
    right = prepared(image())
    state = prepared.state_dict()
    assert list(state) == list(model.state_dict())
    assert all(value.dtype == torch.float32 for value in state.values())
    twin = copy.deepcopy(prepared)
    write_through_data(model)
    for ours, theirs in zip(twin(image()), right, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(prepared(image())[3], right[3])
    assert prepare_for_inference(prepared).source is model
    assert prepared.out_channels == model.out_channels


def test_other_dtypes_are_refused():
    with pytest.raises(UsageError, match='float64'):
        prepare_for_inference(build(), torch.float64)
