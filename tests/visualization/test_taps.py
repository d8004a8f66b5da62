"""Taps: every map as a layer, an unchanged backbone, and the use by other packages."""

import pytest
import torch

from mmcoat import CoaT
from mmcoat.errors import UsageError
from mmcoat.visualization import capture, tap_names, taps

ARCH = dict(
    embed_dims=[16, 24, 24],
    serial_depths=[1, 2, 1],
    mlp_ratios=[2, 2, 2],
    num_heads=8,
    parallel_depth=2,
    parallel_stages=[1, 2],
)


def small(**settings) -> CoaT:
    torch.manual_seed(0)
    settings = dict(out_indices=(0, 1, 2)) | settings
    return CoaT(dict(ARCH), **settings).eval()


@pytest.fixture
def image():
    return torch.randn(2, 3, 48, 70, generator=torch.Generator().manual_seed(0))


def test_names():
    names = tap_names(small())
    assert names[:4] == [
        'stages.0.patch_embed',
        'stages.0.blocks.0.attn',
        'stages.0.blocks.0',
        'stages.0',
    ]
    assert names[-4:] == [
        f'parallel_blocks.1.branches.{i}{end}' for end in ('.attn', '') for i in (1, 2)
    ]
    assert len(names) == len(set(names)) == 3 * 2 + 4 * 2 + 2 * 4
    assert tap_names(small(out_indices=(0,))) == names[:4]


@pytest.mark.parametrize('settings', [{}, dict(with_cp=True), dict(backend='reference')])
def test_all_maps_with_their_gradients(image, settings):
    """Tapping changes neither result nor gradients, and the maps are what comes out."""
    model = small(**settings).train()
    expected = model(image)
    expected[2].square().sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    names = tap_names(model)
    with model.capture(names) as maps:
        outs = model(image)
        outs[2].square().sum().backward()
    assert list(maps) == names
    for a, b in zip(outs, expected, strict=True):
        torch.testing.assert_close(a, b)
    for name, grad in grads.items():
        torch.testing.assert_close(model.get_parameter(name).grad, grad, msg=name)
    last = [maps['stages.0'], *(maps[f'parallel_blocks.1.branches.{i}'] for i in (1, 2))]
    for a, b in zip(last, outs, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(last[2].grad, 2 * outs[2].detach())
    without = {name for name in names if maps[name].grad is None}
    assert without == {'parallel_blocks.1.branches.1'}  # nothing follows it but another output


def test_gradients_are_those_of_a_small_change(image):
    model = small().double()
    image, name = image[:1].double(), 'parallel_blocks.0.branches.1'
    with capture(model, name) as maps:
        model(image)[2].sum().backward()
    grad = maps[name].grad
    step = torch.randn(grad.shape, generator=torch.Generator().manual_seed(3), dtype=grad.dtype)

    def moved(size):
        with taps(model, name) as layers, torch.no_grad():
            layers[name].register_forward_hook(lambda m, i, out: out + size * step)
            return model(image)[2].sum()

    slope = (moved(1e-4) - moved(-1e-4)) / 2e-4
    torch.testing.assert_close(slope, (grad * step).sum(), rtol=1e-5, atol=1e-7)


def test_without_gradients_maps_stay_as_they_were(image):
    """No later operation writes into a captured map."""
    model = small()
    names = tap_names(model)
    copies = {}
    with model.capture(names) as maps, taps(model, names) as layers, torch.no_grad():
        for name, layer in layers.items():
            layer.register_forward_hook(
                lambda m, i, out, name=name: copies.update({name: out.clone()})
            )
        model(image)
    for name in names:
        torch.testing.assert_close(maps[name], copies[name], atol=0, rtol=0)
        assert not maps[name].requires_grad


def test_frozen_stages_have_gradients_of_maps(image):
    model = small(frozen_stages=3)
    model.requires_grad_(False)
    with model.capture(['stages.1.blocks.0']) as maps:
        model(image)[2].sum().backward()
    assert maps['stages.1.blocks.0'].grad.abs().sum() > 0
    assert all(p.grad is None for p in model.parameters())


def test_the_backbone_is_left_as_it_was(image):
    model = small(with_cp=True)
    keys, modules = list(model.state_dict()), list(model.modules())
    with pytest.raises(RuntimeError, match='stop'), model.capture(tap_names(model)):
        assert not any(m.with_cp for m in [model, *model.stages])
        raise RuntimeError('stop')
    assert list(model.state_dict()) == keys
    assert list(model.modules()) == modules
    assert all(m.with_cp for m in [model, *model.stages])
    assert not any(m._forward_hooks for m in model.modules())


def test_compiled_backbones_are_seen(image):
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    model = small()
    model.compile(backend=backend)
    with torch.no_grad():
        expected = model(image)
        compiled = len(calls)
        assert compiled
        with model.capture('stages.0') as maps:
            outs = model(image)
    torch.testing.assert_close(maps['stages.0'], outs[0])
    torch.testing.assert_close(outs[2], expected[2])
    assert len(calls) == compiled
    torch._dynamo.reset()


def test_unknown_names_are_told_with_the_right_ones():
    with pytest.raises(UsageError, match=r"no map 'stages.3'; it has stages.0.patch_embed, "):
        small().capture(['stages.0', 'stages.3']).__enter__()
