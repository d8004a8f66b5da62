"""The one table of names serves both directions: every official name of every arch goes out and back."""

import pytest

from mmcoat import CoaT
from mmcoat.checkpoints.names import (
    TABLE,
    find_places,
    is_own_name,
    official_names,
    translate,
)
from tests.checkpoints import files


@pytest.mark.parametrize('arch', files.ARCHS)
def test_out_and_back(arch):
    official = files.record(arch)['state_dict']
    own = {translate(name) for name in official}
    places = find_places(own)
    assert all(is_own_name(name) for name in own)
    back = [name for ours in own for name in official_names(ours, places)]
    assert sorted(back) == sorted(official)  # each once: tensors and aliases
    for ours in own:
        first, *aliases = official_names(ours, places)
        holders = {official[alias]['alias_of'] for alias in aliases}
        assert holders <= {first}, ours


@pytest.mark.parametrize('stages', [2, 5])
def test_any_number_of_stages(stages):
    arch = dict(
        embed_dims=[8] * stages,
        serial_depths=[1] * stages,
        mlp_ratios=[1] * stages,
        num_heads=8,
        parallel_depth=2,
        parallel_stages=[0, stages - 1],
    )
    names = set(CoaT(arch, out_indices=(stages - 1,), out_type='cls_token').state_dict())
    places = find_places(names)
    assert all(is_own_name(name) for name in names)
    for name in names:
        assert {translate(official) for official in official_names(name, places)} == {name}
    assert official_names('parallel_blocks.1.mlp.fc1.bias', places) == [
        'parallel_blocks.1.mlp1.fc1.bias',
        f'parallel_blocks.1.mlp{stages}.fc1.bias',
    ]


def test_every_pattern_is_used_by_an_arch():
    known = [
        name
        for arch in files.ARCHS
        for name in {
            **files.record(arch)['state_dict'],
            **files.record(arch)['classifier']['extra_state_dict'],
        }
    ]
    for official, own in TABLE:
        assert any(official.match(name) for name in known), official.text
        assert any(own.match(translate(name) or '') for name in known), own.text


@pytest.mark.parametrize(
    'name',
    ['', 'stages', 'cls_token', 'cls_token1.a', 'serial_blocks1.0.norm3.bias', 'norm1.running_var'],
)
def test_other_names(name):
    assert translate(name) is None
    assert not is_own_name(name)
