"""Conversions keep every bit, report every tensor, and refuse unknown names."""

import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

from mmcoat import CoaT
from mmcoat.checkpoints import CheckpointError, find_state_dict, own_state_dict, read_checkpoint
from mmcoat.checkpoints.convert import TARGETS, convert_file, from_own, to_own
from mmcoat.checkpoints.deformable_detr import COCO_IDS
from tests.checkpoints import files

TOOL = Path(__file__).parents[2] / 'tools' / 'convert_checkpoint.py'


def assert_same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


def assert_accounted(before, result):
    """Every tensor of the old form is kept under some name, merged or dropped, exactly once."""
    renamed = [old for old, _ in result.renamed]
    merged, dropped = [a for a, _ in result.merged], [a for a, _ in result.dropped]
    kept = [key for key in before if key in result.weights and key not in renamed]
    assert sorted(renamed + merged + dropped + kept) == sorted(before)
    assert len(result.weights) == len(renamed) + len(kept) + len(result.added)


def with_initial_norms(arch):
    """An official classifier whose unused norms have their initial values, as after training."""
    weights = files.official(arch)
    for key in weights:
        if key.startswith(tuple(files.unused_norms(arch))):
            weights[key] = torch.full_like(weights[key], float(key.endswith('weight')))
    return weights


@pytest.mark.parametrize('arch', files.ARCHS)
def test_official_round_trip(arch):
    weights = with_initial_norms(arch)
    form, own = to_own(weights)
    assert form == 'official or timm'
    assert_accounted(weights, own)
    assert len(own.dropped) == 2 * len(files.unused_norms(arch))
    back = from_own(own.weights, 'official')
    assert_accounted(own.weights, back)
    assert_same(back.weights, weights)
    assert_same(to_own(back.weights)[1].weights, own.weights)


@pytest.mark.parametrize('arch', files.ARCHS)
@pytest.mark.parametrize('aliases', [True, False])
def test_timm_round_trip(arch, aliases):
    _, own = to_own(files.timm(arch, aliases))
    assert not own.dropped
    assert bool(own.merged) == aliases
    assert_same(own.weights, to_own(files.official(arch))[1].weights)
    assert_same(from_own(own.weights, 'timm').weights, files.timm(arch))


@pytest.mark.parametrize('arch', files.ARCHS)
def test_backbone_round_trip(arch):
    _, own = to_own(files.backbone(arch))
    assert_same(own.weights, files.own(arch))
    for target in ('official', 'timm'):
        assert_same(from_own(own.weights, target).weights, files.backbone(arch))


@pytest.mark.parametrize('arch', files.ARCHS)
def test_detector_round_trip(arch):
    weights = files.mmdet2(arch)['state_dict']
    form, own = to_own(weights)
    assert form == 'MMDetection 2.x'
    assert_accounted(weights, own)
    back = from_own(own.weights, 'official')
    assert_same(back.weights, weights)
    timm = from_own(own.weights, 'timm')
    assert_accounted(own.weights, timm)
    assert_same(timm.weights, files.backbone(arch))
    assert [key for key, _ in timm.dropped] == [k for k in weights if not k.startswith('backbone')]


@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
def test_own_names_are_those_of_the_model(arch):
    _, own = to_own(files.official(arch))
    backbone = {k.removeprefix('backbone.') for k in own.weights if k.startswith('backbone.')}
    assert backbone == set(CoaT(arch, out_type='cls_token').state_dict())
    assert {k for k in own.weights if k.startswith('head.')} == {'head.fc.weight', 'head.fc.bias'}


def test_model_trained_here_goes_out():
    model = CoaT('tiny', out_type='cls_token')
    back = from_own(model.state_dict(), 'official')
    assert set(back.weights) == {k for k in files.official('tiny') if not k.startswith('head.')}
    assert [k for k, _ in back.added if 'norm1.' in k] == ['norm1.weight', 'norm1.bias']
    assert_same(own_state_dict(back.weights), {**model.state_dict(), **norm1(back.weights)})


def norm1(weights):
    return {f'norms.0.{name}': weights[f'norm1.{name}'] for name in ('weight', 'bias')}


@pytest.mark.parametrize(
    'weights, message',
    [
        ({'conv1.weight': 0}, 'no known form'),
        ({'cls_token1': 0, 'serial_blocks1.0.attention': 0}, 'serial_blocks1.0.attention'),
        ({'backbone.cls_token1': 0, 'transformer.a': 0}, 'transformer.a'),
        ({'backbone.cls_token1': 0, 'backbone.fc.a': 0}, 'backbone.fc.a'),
        ({'module.cls_token1': 0}, 'no known form'),
    ],
)
def test_unknown_is_refused(weights, message):
    weights = {key: torch.full((1,), float(value)) for key, value in weights.items()}
    with pytest.raises(CheckpointError, match=re.escape(message)):
        to_own(weights)


@pytest.mark.parametrize('arch', ['lite_small', 'small'])
def test_deformable_detr(arch):
    keep = torch.tensor(COCO_IDS)
    weights = {f'backbone.0.backbone.{k}': v for k, v in files.official(arch).items()}
    weights |= {
        'transformer.level_embed': torch.ones(4, 2),
        'transformer.decoder.layers.0.norm2.bias': torch.full((2,), 2.0),
        'class_embed.0.bias': torch.arange(91.0),
        'bbox_embed.5.layers.2.bias': torch.ones(4),
    }
    form, own = to_own(weights)
    assert form == 'Deformable DETR'
    assert_accounted(weights, own)
    expected = {f'backbone.{k}': v for k, v in files.own(arch).items()}
    expected |= {
        'level_embed': torch.ones(4, 2),
        'decoder.layers.0.norms.0.bias': torch.full((2,), 2.0),
        'bbox_head.cls_branches.0.bias': keep.float(),
        'bbox_head.reg_branches.5.4.bias': torch.ones(4),
    }
    assert_same(own.weights, expected)
    with pytest.raises(CheckpointError, match=r'transformer\.else'):
        to_own({**weights, 'transformer.else': torch.ones(1)})


def test_differing_aliases_are_refused():
    weights = files.official('tiny')
    weights['parallel_blocks.0.mlp3.fc1.bias'] = weights['parallel_blocks.0.mlp3.fc1.bias'] + 1
    with pytest.raises(CheckpointError, match='one shared tensor'):
        to_own(weights)


def test_own_unknown_is_refused():
    weights = files.own('tiny')
    with pytest.raises(CheckpointError, match='adapter'):
        from_own({**weights, 'stages.0.adapter.weight': torch.ones(1)}, 'timm')
    del weights['stages.3.cls_token']
    with pytest.raises(CheckpointError, match='4 stages'):
        from_own(weights, 'official')


# ---------------------------------------------------------------------- files


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'official.pth'
    torch.save({'model': files.official('tiny'), 'optimizer': {}, 'epoch': 300}, path)
    return str(path)


def test_files(tmp_path, source):
    own, timm = tmp_path / 'new' / 'own.pth', tmp_path / 'timm.safetensors'
    result = convert_file(source, own)
    assert ('optimizer', 'no weights') in result.dropped and (
        'epoch',
        'no weights',
    ) in result.dropped
    assert_same(find_state_dict(read_checkpoint(own)), result.weights)
    pytest.importorskip('safetensors')
    convert_file(str(own), timm, to='timm')
    assert_same(read_checkpoint(timm), files.timm('tiny'))
    convert_file(str(timm), own, force=True)
    assert_same(find_state_dict(read_checkpoint(own)), result.weights)
    convert_file(str(own), tmp_path / 'back.pth', to='official')
    assert set(read_checkpoint(tmp_path / 'back.pth')['model']) == set(files.official('tiny'))
    assert not list(tmp_path.glob('.*')) and not list(own.parent.glob('.*'))


def test_does_not_overwrite(tmp_path, source):
    target = tmp_path / 'own.pth'
    target.write_text('mine')
    with pytest.raises(CheckpointError, match='--force'):
        convert_file(source, target)
    assert target.read_text() == 'mine'
    convert_file(source, target, force=True)
    assert 'state_dict' in read_checkpoint(target)


def test_writes_all_or_nothing(tmp_path, source, monkeypatch):
    target = tmp_path / 'own.pth'
    target.write_text('mine')

    def full_disk(handle):
        raise OSError('No space left on device')

    monkeypatch.setattr(os, 'fsync', full_disk)
    with pytest.raises(CheckpointError, match=r'cannot write .*own.pth: No space'):
        convert_file(source, target, force=True)
    assert target.read_text() == 'mine'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['official.pth', 'own.pth']


def test_wrong_arguments(tmp_path, source):
    with pytest.raises(ValueError, match='one of'):
        convert_file(source, tmp_path / 'a.pth', to='keras')
    with pytest.raises(CheckpointError, match='convert it to own first'):
        convert_file(source, tmp_path / 'a.pth', to='timm')
    with pytest.raises(CheckpointError, match=r'\.pth or \.safetensors'):
        convert_file(source, tmp_path / 'a.onnx')
    assert [p.name for p in tmp_path.iterdir()] == ['official.pth']


def test_tool(tmp_path, source, monkeypatch, capsys):
    def run(*args):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code, capsys.readouterr()

    code, output = run(source, tmp_path / 'own.pth')
    assert code == 0
    for line in (
        'renamed: ',
        'merged: ',
        '  ... and ',
        '  optimizer : no weights',
        '  norm1.weight : ',
    ):
        assert line in output.out
    code, output = run(source, tmp_path / 'own.pth')
    assert code == 2 and '--force' in output.err and 'Traceback' not in output.err
    code, output = run(tmp_path / 'own.pth', tmp_path / 'timm.pth', '--to', 'timm', '--verbose')
    assert code == 0 and '...' not in output.out
    assert set(TARGETS) == {'own', 'official', 'timm'}
