"""Metafiles, model index and model zoo: complete, true to the code, and up to date."""

import re
from pathlib import Path

import pytest
import yaml

from mmcoat import CoaT
from mmcoat.analysis import flops, model_zoo
from mmcoat.checkpoints.published import PUBLISHED
from tests.helpers import ROOT, load, run_tool

MODELS = model_zoo.load_models(ROOT)
BACKBONES = {
    'lite_tiny': 'CoaT-Lite Tiny',
    'lite_mini': 'CoaT-Lite Mini',
    'lite_small': 'CoaT-Lite Small',
    'lite_medium': 'CoaT-Lite Medium',
    'tiny': 'CoaT Tiny',
    'mini': 'CoaT Mini',
    'small': 'CoaT Small',
}


def names(models) -> list[str]:
    return [model['Name'] for model in models]


def test_every_published_file_with_a_config_is_listed_once():
    # the files for Detectron2 have no config: MMDetection's heads are not Detectron2's
    expected = sorted(e.url for e in PUBLISHED if '/detectron2/' not in e.url)
    assert sorted(model['Weights'] for model in MODELS) == expected
    assert len(set(names(MODELS))) == len(MODELS) == 22


@pytest.mark.parametrize('model', MODELS, ids=names(MODELS))
def test_row_and_config_agree(model):
    assert model['Config'] == f'configs/{model["Name"]}.py'
    assert (ROOT / model['Config']).is_file()
    cfg = load(f'{model["Name"]}.py')
    (entry,) = [e for e in PUBLISHED if e.url == model['Weights']]
    data = model['Metadata']
    assert cfg.model.backbone.arch == entry.arch
    assert data['Backbone'] == BACKBONES[entry.arch]
    assert data['Epochs'] == cfg.train_cfg.max_epochs
    shape = tuple(map(int, data['Resolution'].split(' x ')))
    if entry.task == 'classification':
        rows = flops.count_arch(entry.arch, shape)
        assert data['FLOPs'] == sum(row.macs for row in rows)
        assert data['Parameters'] == sum(row.parameters for row in rows)
        assert cfg.test_dataloader.dataset.pipeline[2].crop_size == shape[0]
    else:
        backbone = CoaT(entry.arch, out_indices=cfg.model.backbone.out_indices)
        rows = flops.count_coat(backbone, shape)
        assert data['Backbone FLOPs'] == sum(row.macs for row in rows)
        assert data['Parameters'] > sum(row.parameters for row in rows)


@pytest.mark.parametrize('model', MODELS, ids=names(MODELS))
def test_training_as_in_the_config(model):
    cfg, data = load(f'{model["Name"]}.py'), model['Metadata']
    techniques = data['Training Techniques']
    assert data['Training Resources'] == '8 GPUs'
    if 'deformable' not in model['Name']:  # there the authors leave it open
        assert data['Batch Size'] == 8 * cfg.train_dataloader.batch_size
        assert data['Batch Size'] == cfg.auto_scale_lr.base_batch_size
    drop_path = cfg.model.backbone.get('drop_path_rate', 0.0)
    assert ('Stochastic Depth' in techniques) == (drop_path > 0)
    assert ('Gradient Clipping' in techniques) == ('clip_grad' in cfg.optim_wrapper)
    assert ('Mixup' in techniques) == bool(cfg.model.get('train_cfg', {}).get('augments'))
    assert cfg.optim_wrapper.optimizer.type in techniques
    assert len(set(techniques)) == len(techniques)


@pytest.mark.parametrize('model', MODELS, ids=names(MODELS))
def test_log_lies_beside_the_weights(model):
    weights, log = (model[key].rsplit('.', 1) for key in ('Weights', 'Training log'))
    assert weights == [log[0], 'pth']
    # the authors link the metrics (JSON) of MMDetection's runs, and printed text for the others
    assert log[1] == ('json' if 'rcnn' in model['Name'] else 'txt')


def test_mask_rcnn_is_listed_for_the_backbones_of_the_paper_only():
    found = {model['Metadata']['Backbone'] for model in MODELS if 'mask_rcnn' in model['Name']}
    assert found == {'CoaT-Lite Mini', 'CoaT-Lite Small', 'CoaT Mini', 'CoaT Small'}


@pytest.mark.parametrize('task', ['mask_rcnn', 'cascade', 'deformable'])
def test_parameters_of_detectors(task):
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmcv._ext')
    from mmengine.registry import MODELS as REGISTRY
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    for model in MODELS:
        if model['Name'].startswith(task) and not model['Name'].endswith('3x_coco'):
            cfg = load(f'{model["Name"]}.py')
            flops.drop_pretrained(cfg)
            detector = REGISTRY.build(cfg.model)
            assert model['Metadata']['Parameters'] == flops.count_parameters(detector)


def test_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    found = sorted(f'configs/{path.name}' for path in (ROOT / 'configs').glob('*.yml'))
    assert sorted(index['Import']) == found


def test_config_names_are_unique():
    stems = [path.stem for path in (ROOT / 'configs').rglob('*.py')]
    assert len(stems) == len(set(stems))  # mim finds a config by its file name alone


def test_page_is_up_to_date(monkeypatch):
    assert run_tool(monkeypatch, 'make_model_zoo', '--check') == 0


def test_page_and_configs_agree():
    page = (ROOT / 'docs' / 'model_zoo.md').read_text()
    official, unofficial = page.split(model_zoo.UNPUBLISHED.splitlines()[0])
    rows = re.findall(r'^\| \[(\w+\.py)\]', official, re.M)
    others = re.findall(r'^- \[(\w+\.py)\]', unofficial, re.M)
    listed = rows + others
    assert sorted(listed) == sorted(p.name for p in (ROOT / 'configs').glob('*.py'))
    assert sorted(rows) == sorted(f'{name}.py' for name in names(MODELS))
    for model in MODELS:
        assert f']({model["Weights"]})' in official


def test_check_notices_a_change(monkeypatch, tmp_path, capsys):
    page = tmp_path / 'docs' / 'model_zoo.md'
    page.parent.mkdir()
    for name in ('configs', 'model-index.yml'):
        (tmp_path / name).symlink_to(ROOT / name)
    page.write_text(model_zoo.make_page(tmp_path).replace('77.5', '78.5'))
    assert run_zoo(monkeypatch, tmp_path, '--check') == 1
    assert run_zoo(monkeypatch, tmp_path) == 0
    assert run_zoo(monkeypatch, tmp_path, '--check') == 0


def run_zoo(monkeypatch, root: Path, *arguments: str) -> int:
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location('zoo', ROOT / 'tools' / 'make_model_zoo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = root
    monkeypatch.setattr(sys, 'argv', ['make_model_zoo.py', *arguments])
    return module.main()
