"""tools/check_dataset.py, and the check at the start of tools/train.py, on our configs and drawn sets."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mmcoat.datasets.synthetic import make_ade20k, make_coco
from tests.datasets.check_sets import turn
from tests.helpers import ROOT, run_tool

SEG, DET = 'fpn_coat_lite_t_ade20k', 'mask_rcnn_coat_lite_t_1x_coco'


def config(name):
    return ROOT / 'configs' / f'{name}.py'


@pytest.fixture
def ade(tmp_path):
    pytest.importorskip('mmseg')
    make_ade20k(tmp_path / 'ade', train=4, val=2, size=(80, 64), seed=3)
    return tmp_path / 'ade'


@pytest.fixture
def coco(tmp_path):
    pytest.importorskip('mmdet')
    make_coco(tmp_path / 'coco', train=4, val=2, size=(96, 64), seed=3)
    return tmp_path / 'coco'


@pytest.mark.parametrize('name', ['ade', 'coco'])
def test_a_drawn_set_has_no_finding(monkeypatch, capsys, tmp_path, request, name):
    root, out = request.getfixturevalue(name), tmp_path / 'report.json'
    options = ['--out', out, '--picture', tmp_path / 'report.png']
    options += ['--cfg-options', f'data_root={root}/']
    path = config(SEG if name == 'ade' else DET)
    assert run_tool(monkeypatch, 'check_dataset', path, *options) == 0
    printed = capsys.readouterr().out
    assert 'Nothing found.' in printed
    assert 'train: 4 of 4 images opened' in printed
    report = json.loads(out.read_text())
    assert [one['findings'] for one in report['sets']] == [[], []]
    assert sum(row['share'] for row in report['sets'][0]['classes']) == pytest.approx(1)
    assert np.asarray(Image.open(tmp_path / 'report.png')).std() > 10


def test_errors_give_exit_status_2(monkeypatch, capsys, ade):
    image = next((ade / 'images/training').iterdir())
    image.write_bytes(image.read_bytes()[:500])
    options = ['--splits', 'train', '--cfg-options', f'data_root={ade}']
    assert run_tool(monkeypatch, 'check_dataset', config(SEG), *options) == 2
    printed = capsys.readouterr().out
    assert 'Findings' in printed
    assert 'val' not in printed


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--sample', '0'], '--sample must be 1 or more, not 0'),
        (['--out', 'configs/mine.py'], '--out configs/mine.py must end in .json'),
        (['--picture', 'nowhere/a.png'], 'folder nowhere does not exist'),
        (['--splits', 'train,none'], 'this config has no none_dataloader'),
        (['--cfg-options', 'data_root=nowhere'], 'folder nowhere does not exist'),
    ],
)
def test_wrong_arguments(monkeypatch, capsys, options, message):
    pytest.importorskip('mmseg')
    assert run_tool(monkeypatch, 'check_dataset', config(SEG), *options) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_what_is_not_checked_is_said(monkeypatch, capsys, coco):
    settings = [f'{split}_dataloader.dataset.type=LVISV1Dataset' for split in ('train', 'val')]
    options = ['--cfg-options', f'data_root={coco}/', *settings]
    assert run_tool(monkeypatch, 'check_dataset', config(DET), *options) == 0
    assert 'train: not checked' in capsys.readouterr().out


def train(monkeypatch, name, root, work_dir, *options):
    settings = ['--cfg-options', f'data_root={root}/', 'model.backbone.init_cfg=None']
    settings += ['train_cfg.max_iters=1'] if name == SEG else ['train_cfg.max_epochs=1']
    return run_tool(monkeypatch, 'train', config(name), '--work-dir', work_dir, *options, *settings)


def test_training_does_not_begin_on_broken_label_maps(monkeypatch, capsys, ade, tmp_path):
    path = next((ade / 'annotations/validation').iterdir())
    Image.new('L', (40, 64), 1).save(path)
    assert train(monkeypatch, SEG, ade, tmp_path / 'run') == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(
        'train.py: error: val: label maps whose size is not that of their image (1)'
    )
    assert 'tools/check_dataset.py' in error
    assert SEG in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / 'run').exists()


def test_training_does_not_begin_on_renamed_categories(monkeypatch, capsys, coco, tmp_path):
    path = coco / 'annotations/instances_train2017.json'
    path.write_text(path.read_text().replace('"person"', '"Person"'))
    assert train(monkeypatch, DET, coco, tmp_path / 'run') == 2
    error = capsys.readouterr().err.strip()
    assert "person (the file has 'Person')" in error
    assert '--no-check-data' in error


def test_the_check_can_be_left_out(monkeypatch, ade, tmp_path):
    """Then the training itself meets the fault."""
    from mmcoat import runs

    path = next((ade / 'images/training').iterdir())
    path.write_bytes(b'')
    asked = []
    monkeypatch.setattr(runs, 'build_runner', lambda cfg: asked.append(cfg) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(monkeypatch, SEG, ade, tmp_path / 'run', '--no-check-data')
    assert len(asked) == 1


def test_broken_images_are_left_out(monkeypatch, ade, tmp_path):
    from mmengine.registry import DATASETS, init_default_scope

    from mmcoat import runs

    paths = sorted((ade / 'images/training').iterdir())
    paths[1].write_bytes(paths[1].read_bytes()[:-900])
    asked = []
    monkeypatch.setattr(runs, 'build_runner', lambda cfg: asked.append(cfg) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(monkeypatch, SEG, ade, tmp_path / 'run', '--skip-broken')
    init_default_scope('mmseg')
    dataset = DATASETS.build(asked[0].train_dataloader.dataset)
    seen = {dataset[i]['data_samples'].img_path for i in range(4) for _ in range(3)}
    assert seen <= {str(path) for path in paths if path != paths[1]}
    assert list(dataset.pipeline.transforms[0].skipped) == [str(paths[1])]
    with pytest.raises(ZeroDivisionError):
        train(monkeypatch, SEG, ade, tmp_path / 'run', '--no-check-data')
    assert len(asked[1].train_dataloader.dataset.pipeline) == len(dataset.pipeline.transforms) - 1


def test_warnings_go_to_the_log(monkeypatch, capsys, ade):
    from mmcoat import runs
    from mmcoat.datasets.checks import check_before_training

    path = next((ade / 'images/training').iterdir())
    path.with_name('other.JPG').write_bytes(path.read_bytes())
    cfg = runs.load_config(str(config(SEG)), {'data_root': str(ade)})
    check_before_training(runs.named_datasets(cfg, ['train']), cfg, 'mine.py')
    log = ''.join(capsys.readouterr())
    assert 'ignored because of their ending (1): other.JPG' in log
    assert 'tools/check_dataset.py mine.py' in log


def test_only_the_first_process_looks(monkeypatch, ade):
    from mmcoat import runs
    from mmcoat.datasets.checks import DataError, check_before_training

    next((ade / 'images/training').iterdir()).write_bytes(b'')
    cfg = runs.load_config(str(config(SEG)), {'data_root': str(ade)})
    cfg.launcher = 'pytorch'
    sets = runs.named_datasets(cfg, ['train'])
    monkeypatch.setenv('RANK', '1')
    check_before_training(sets, cfg, 'mine.py')
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(DataError, match='an empty file'):
        check_before_training(sets, cfg, 'mine.py')


def test_several_data_sets_of_one_loader_are_told_apart(ade):
    from mmcoat import runs

    cfg = runs.load_config(str(config(SEG)))
    one = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[one, one])
    assert [name for name, _ in runs.named_datasets(cfg, ['train', 'val'])] == [
        'train 1',
        'train 2',
        'val',
    ]


@pytest.mark.parametrize('name', [SEG, 'mask2former_coat_s_ade20k'])
def test_our_pipelines_turn_no_image(ade, name):
    """EXIF says upside down; the label map has no such entry."""
    from mmengine.registry import TRANSFORMS, init_default_scope

    from mmcoat import runs

    path = next((ade / 'images/training').iterdir())
    upright = np.asarray(Image.open(path).convert('RGB')).astype(int)
    turn(path, 3)
    cfg = runs.load_config(str(config(name)))
    init_default_scope('mmseg')
    steps = [cfg[f'{split}_dataloader'].dataset.pipeline[0] for split in ('train', 'val')]
    for step in [*steps, cfg.tta_pipeline[0]]:
        image = TRANSFORMS.build(step)(dict(img_path=str(path)))['img'][..., ::-1]
        assert np.abs(image - upright).mean() < np.abs(image[::-1, ::-1] - upright).mean() / 3


def test_the_page_names_every_finding():
    from mmcoat.datasets.checks import KINDS

    page = (ROOT / 'docs' / 'check_dataset.md').read_text()
    missing = [
        name
        for name, kind in KINDS.items()
        if f'| {kind.level} | {kind.text} | {kind.cure} |' not in page
    ]
    assert missing == []


# of the data set that a config's name ends in; MMSegmentation's own METAINFO says the same
CLASSES = {
    'ade20k': 150,
    '5scales_ade20k': 150,
    'cityscapes': 19,
    'cityscapes_1024': 19,
    'coco_stuff164k': 171,
    'drive': 2,
    'drive_masks': 2,  # one mask, background and vessels
    'drive_multilabel': 4,  # two masks, whose label maps hold 0 to 3
    'in1k': 1000,
    '384_in1k': 1000,
    'loveda': 7,
    'own': 3,
    'pascal_context_59': 59,
    'potsdam': 6,
    'voc2012_aug': 21,
} | dict.fromkeys(('1x_coco', '2x_coco', '3x_coco', '12e_coco', 'coco', 'adamw_1x_coco'), 80)


@pytest.mark.parametrize('path', sorted((ROOT / 'configs').glob('*.py')), ids=lambda p: p.stem)
def test_our_heads_fit_our_data_sets(path):
    from mmengine.config import Config

    from mmcoat.datasets.checks.sources import outputs

    classes = CLASSES[re.split('(?:^|_)coat_(?:lite_)?[a-z]+_', path.stem)[-1]]
    assert set(outputs(Config.fromfile(path).model)) == {classes}
