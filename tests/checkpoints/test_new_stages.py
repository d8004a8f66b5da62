"""A four-scale model's weights load strictly into a model with a fifth scale; new parameters are named."""

import pytest
import torch

from mmcoat import ARCH_ZOO, CoaT
from mmcoat.checkpoints import CheckpointError, load_backbone
from tests.checkpoints import files

ALL = (0, 1, 2, 3, 4)


def five(arch: str, parallel: bool = False, **changes) -> dict:
    """The settings of an arch with a fifth stage like the fourth."""
    zoo = ARCH_ZOO[arch]
    lists = ('embed_dims', 'serial_depths', 'mlp_ratios')
    settings = zoo | {key: [*zoo[key], zoo[key][-1]] for key in lists}
    if parallel:
        settings['parallel_stages'] = [*zoo['parallel_stages'], 4]
    return settings | changes


def build(arch: dict, path, **entry) -> CoaT:
    init_cfg = dict(type='Pretrained', checkpoint=str(path), new_stages=True) | entry
    model = CoaT(arch, out_indices=ALL, init_cfg=init_cfg)
    model.init_weights()
    return model


@pytest.fixture
def path(tmp_path):
    """CoaT-Lite Tiny's official file."""
    torch.save({'model': files.official('lite_tiny')}, tmp_path / 'four.pth')
    return tmp_path / 'four.pth'


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr('mmcoat.checkpoints.load.print_log', lambda text, **_: lines.append(text))
    return lines


def test_four_scales_are_the_files_and_the_fifth_is_named(path, said):
    model = build(five('lite_tiny'), path)
    weights, found = files.own('lite_tiny'), model.state_dict()
    new = set(found) - set(weights)
    assert new and all(key.startswith('stages.4.') for key in new)
    assert all(torch.equal(found[key], value) for key, value in weights.items() if key in found)
    (line,) = said
    assert '\n' not in line and f'{len(new)} parameters' in line and str(path) in line
    assert set(line.split(': ')[-1].split(', ')) == new
    again = build(five('lite_tiny'), path).state_dict()
    weight = 'stages.4.blocks.0.attn.qkv.weight'
    assert not torch.equal(again[weight], found[weight])  # as initialised, not of any file


def test_maps_of_the_four_scales_are_the_four_scale_models(path, said):
    ours, known = build(five('lite_tiny'), path).eval(), CoaT('lite_tiny').eval()
    load_backbone(known, path)
    image = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        *maps, coarse = ours(image)
        for ours_map, known_map in zip(maps, known(image), strict=True):
            assert torch.equal(ours_map, known_map)
    assert coarse.shape == (1, 320, 1, 1)


@pytest.mark.parametrize('parallel', [False, True])
def test_full_coat(tmp_path, said, parallel):
    """The fifth scale outside of the parallel blocks, or in them; then its branches are new too."""
    torch.save(files.official('tiny'), tmp_path / 'tiny.pth')
    found = build(five('tiny', parallel), tmp_path / 'tiny.pth').state_dict()
    weights = files.own('tiny')
    assert all(torch.equal(found[key], value) for key, value in weights.items() if key in found)
    new = set(found) - set(weights)
    assert any('.branches.4.' in key for key in new) == parallel
    assert len(said) == 1


def test_trains_a_step(path, said):
    model = build(five('lite_tiny'), path).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    sum(m.square().mean() for m in model(torch.randn(2, 3, 64, 64))).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    optimizer.step()
    after = model.state_dict()
    for key in ('stages.0.patch_embed.proj.weight', 'stages.4.patch_embed.proj.weight'):
        assert not torch.equal(before[key], after[key])


REFUSED = {
    'another width': (five('lite_tiny', embed_dims=[64, 128, 320, 320, 320]), 'of another shape'),
    'deeper': (five('lite_tiny', serial_depths=[2, 2, 2, 3, 2]), 'missing: stages.3.blocks.2'),
    'shallower': (
        five('lite_tiny', serial_depths=[2, 2, 2, 1, 2]),
        'unexpected: stages.3.blocks.1',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_four_scales_that_do_not_fit_are_refused(path, said, case):
    arch, message = REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        build(arch, path)
    assert not said


def test_a_file_that_lacks_part_of_its_own_scale_is_refused(tmp_path, said):
    weights = files.own('lite_tiny')
    lost = next(key for key in weights if key.startswith('stages.3.blocks'))
    del weights[lost]
    torch.save(weights, tmp_path / 'part.pth')
    with pytest.raises(CheckpointError, match=f'1 missing: {lost}'):
        build(five('lite_tiny'), tmp_path / 'part.pth')


def test_only_when_asked(path):
    with pytest.raises(CheckpointError, match=r'missing: stages\.4'):
        build(five('lite_tiny'), path, new_stages=False)
    with pytest.raises(ValueError, match='new_stages must be True or False'):
        build(five('lite_tiny'), path, new_stages='yes')
    with pytest.raises(ValueError, match='no key'):
        build(five('lite_tiny'), path, newstages=True)


def test_a_five_scale_file_loads_as_ever(tmp_path, path, said):
    model = build(five('lite_tiny'), path)
    torch.save(model.state_dict(), tmp_path / 'five.pth')
    said.clear()
    found = build(five('lite_tiny'), tmp_path / 'five.pth').state_dict()
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items())
    assert not said
