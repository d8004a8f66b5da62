"""Metafiles, model index and model zoo: complete, true to the code, and up to date."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from mmcoat import CoaT
from mmcoat.analysis import flops, model_zoo, zoo_costs
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
    official, rest = page.split(model_zoo.UNPUBLISHED.splitlines()[0])
    unofficial, drawn = rest.split(model_zoo.DRAWN.splitlines()[0])
    rows, others, ours = (
        re.findall(r'^\| \[\w+\.py\]\(\.\./([\w/]+\.py)\)', part, re.M)
        for part in (official, unofficial, drawn)
    )
    listed = [*rows, *others]
    assert sorted(listed) == zoo_costs.config_names(ROOT)
    assert any('rivals/' in name for name in others)
    assert sorted(rows) == sorted(f'configs/{name}.py' for name in names(MODELS))
    assert '?' not in unofficial  # every model is counted
    assert ours and set(ours) <= set(listed)
    results = re.findall(r'(?:mIoU|AP50) [\d.]+', drawn)
    demo = (ROOT / 'docs' / 'demo.md').read_text()
    assert results and all(result in demo for result in results)
    for model in MODELS:
        assert f']({model["Weights"]})' in official


def test_backbones_by_name_are_the_models():
    for path in (ROOT / 'configs').glob('*.py'):
        arch = load(path.name).model.backbone.arch
        wanted = BACKBONES[arch] if isinstance(arch, str) else f'{len(arch.embed_dims)} scales'
        assert model_zoo.backbone_of(path.name).split(', ')[-1] == wanted
    with pytest.raises(ValueError, match='contains none of the backbones'):
        model_zoo.backbone_of('configs/upernet_vit_ade20k.py')


@pytest.mark.parametrize('model', MODELS, ids=names(MODELS))
def test_metafile_and_costs_agree(model):
    cost, data = zoo_costs.read(ROOT)[model['Config']], model['Metadata']
    assert data['Resolution'] == f'{cost.size[0]} x {cost.size[1]}'
    assert data['Parameters'] == cost.parameters
    assert data.get('FLOPs', data.get('Backbone FLOPs')) == cost.macs


@pytest.mark.parametrize(
    'name',
    [
        'fpn_coat_lite_t_ade20k',
        'mask2former_coat_lite_t_ade20k',
        'segformer_coat_lite_s_cityscapes',
        'unet_coat_lite_s_drive_multilabel',
        'rivals/fpn_resnet50_ade20k',
        'retinanet_coat_lite_s_1x_coco',
    ],
)
def test_counted_again_it_is_what_is_kept(name):
    pytest.importorskip('mmseg.models')
    if 'retinanet' in name or 'mask2former' in name:
        pytest.importorskip('mmdet.models')
        pytest.importorskip('mmcv._ext')
    config = f'configs/{name}.py'
    assert zoo_costs.count(ROOT / config) == zoo_costs.read(ROOT)[config]


def test_the_whole_is_the_sum_of_the_parts():
    pytest.importorskip('mmseg.models')
    _, rows = flops.count_config(load('unet_coat_lite_s_drive_masks.py'), (256, 256))
    cost = zoo_costs.read(ROOT)['configs/unet_coat_lite_s_drive_masks.py']
    assert (cost.size, cost.macs) == ((256, 256), sum(row.macs for row in rows))
    assert cost.parameters == sum(row.parameters for row in rows)


def test_only_what_a_model_is_made_of_makes_its_costs_old(tmp_path):
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    assert zoo_costs.outdated(tmp_path) == []
    base, name = tmp_path / 'configs/_base_', 'unet_coat_lite_s_drive_masks.py'
    change(base / 'schedules/adamw_upernet_40k.py', '', '\nx = 1\n')
    change(base / 'models/unet_coat.py', '', '\n# a comment\n')
    assert zoo_costs.outdated(tmp_path) == []
    change(base / 'models/unet_masks_coat.py', 'out_channels=1', 'out_channels=2')
    masks = 'configs/unet_coat_lite_s_drive_m'
    assert zoo_costs.outdated(tmp_path) == [f'{masks}asks.py', f'{masks}ultilabel.py']
    (tmp_path / 'configs' / name).rename(tmp_path / 'configs/unet_coat_lite_s_new.py')
    assert zoo_costs.outdated(tmp_path) == [
        f'{masks}ultilabel.py',
        'configs/unet_coat_lite_s_new.py',
        f'{masks}asks.py',
    ]


def test_update_counts_what_is_new_and_forgets_what_is_gone(monkeypatch, tmp_path, capsys):
    pytest.importorskip('mmseg.models')
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    shutil.copy(ROOT / 'model-index.yml', tmp_path)
    (tmp_path / 'configs/fpn_coat_t_ade20k.py').unlink()
    change(tmp_path / 'configs/fpn_coat_lite_t_ade20k.py', '', '\nmodel["neck"]["num_outs"] = 5\n')
    assert run_zoo(monkeypatch, tmp_path, '--check') == 1
    assert 'is out of date for configs/fpn_coat_lite_t_ade20k.py, configs/fpn_coat_t' in (
        capsys.readouterr().err
    )
    assert run_zoo(monkeypatch, tmp_path) == 0
    counted = re.findall(r'counting (\S+)', capsys.readouterr().out)
    assert counted == ['configs/fpn_coat_lite_t_ade20k.py']
    assert 'configs/fpn_coat_t_ade20k.py' not in zoo_costs.read(tmp_path)
    assert run_zoo(monkeypatch, tmp_path, '--check') == 0


def change(path: Path, old: str, new: str) -> None:
    """Put ``new`` in the place of ``old``, or at the end."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else text + new)


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
