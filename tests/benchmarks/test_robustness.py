"""Corruptions, and mIoU under them on drawn images."""

import json

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

pytest.importorskip('mmseg')
pytest.importorskip('matplotlib')
from benchmarks.corruptions import KINDS, SEVERITIES, Corruption
from mmcoat.datasets.synthetic import make_ade20k, street_scene
from tests.helpers import ROOT, run_tool

IMAGE = street_scene(np.random.default_rng(0), 240, 180).image


def corrupted(kind, severity, name='a.jpg'):
    return Corruption(kind, severity)(dict(img=IMAGE.copy(), img_path=f'x/{name}'))['img']


@pytest.mark.parametrize('kind', KINDS)
def test_corruptions_grow_and_repeat(kind):
    distances = []
    for severity in SEVERITIES:
        found = corrupted(kind, severity)
        assert found.shape == IMAGE.shape and found.dtype == np.uint8
        assert np.array_equal(found, corrupted(kind, severity))
        distances.append(np.abs(found.astype(float) - IMAGE).mean())
    assert distances[0] > 0.5
    assert distances[-1] > 1.2 * distances[0]
    random = kind.endswith('noise') or kind in ('motion_blur', 'fog', 'snow')
    assert random != np.array_equal(corrupted(kind, 3), corrupted(kind, 3, 'b.jpg'))


@pytest.fixture(scope='module')
def run_folder(tmp_path_factory):
    """A small config, drawn data and untrained weights of that model."""
    folder = tmp_path_factory.mktemp('robustness')
    make_ade20k(folder / 'data', train=1, val=2, size=(64, 64))
    config = folder / 'small.py'
    config.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'fpn_coat_lite_t_ade20k.py')!r}
data_root = {str(folder / 'data')!r}
model = dict(backbone=dict(init_cfg=None))
loaders = dict(num_workers=0, persistent_workers=False)
val_dataloader = loaders
test_dataloader = loaders
""")
    from mmcoat import runs

    cfg = runs.load_config(str(config))
    runs.fit_to_devices(cfg)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), folder / 'a.pth')
    return folder


def arguments(folder, *more):
    scales = [f'{n}_dataloader.dataset.pipeline.1.scale=(128,64)' for n in ('val', 'test')]
    given = [folder / 'small.py', folder / 'a.pth', '--out', folder / 'out', *more]
    return ['benchmark_robustness', *given, '--cfg-options', *scales]


def test_scores_report_and_going_on(monkeypatch, run_folder, capsys):
    some = ['--kinds', 'contrast', 'fog', '--severities', 1, 5]
    assert run_tool(monkeypatch, *arguments(run_folder, *some)) == 0
    out = run_folder / 'out'
    scores = json.loads((out / 'robustness.json').read_text())['scores']
    assert list(scores) == ['clean', 'contrast 1', 'contrast 5', 'fog 1', 'fog 5']
    assert len(set(scores.values())) > 1  # the images that the model saw were others
    text = (out / 'robustness.md').read_text()
    mean = (scores['fog 1'] + scores['fog 5']) / 2
    share = 100 * mean / scores['clean']
    row = f'| fog | {scores["fog 1"]:.2f} | - | - | - | {scores["fog 5"]:.2f} | {mean:.2f} | {share:.1f} |'
    assert row in text
    assert (out / 'robustness.png').stat().st_size > 5000
    # only what is new is tested
    from benchmarks import robustness

    done = []
    monkeypatch.setattr(robustness, 'prepare', lambda *_: None)
    monkeypatch.setattr(robustness, 'score', lambda _, c, images: done.append(c) or 1.0)
    some[1:3] = ['contrast', 'jpeg']
    assert run_tool(monkeypatch, *arguments(run_folder, *some)) == 0
    assert done == [Corruption('jpeg', 1), Corruption('jpeg', 5)]
    capsys.readouterr()
    assert run_tool(monkeypatch, *arguments(run_folder, '--images', 1)) == 2
    assert 'choose another --out' in capsys.readouterr().err
    assert run_tool(monkeypatch, *arguments(run_folder, '--images', 0)) == 2


def test_compile(monkeypatch, run_folder):
    from benchmarks import robustness

    compiled = []
    monkeypatch.setattr(robustness.runs, 'compile_backbone', compiled.append)
    one = ['--images', 1, '--kinds', 'fog', '--severities', 1, '--out', run_folder / 'compiled']
    assert run_tool(monkeypatch, *arguments(run_folder, *one, '--compile')) == 0
    assert len(compiled) == 1
