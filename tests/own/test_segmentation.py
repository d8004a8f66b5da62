"""Every combination of channels, formats and label conventions trains a step and is tested."""

import json

import pytest
import torch
from mmengine.registry import init_default_scope

from mmcoat import runs
from mmcoat.checkpoints import read_checkpoint
from tests.helpers import ROOT, run_tool
from tests.own.common import CLASSES, draw, segmentation_config

pytest.importorskip('mmseg')


def stats(channels):
    return f'mean = {[80.0] * channels}\nstd = {[50.0] * channels}\n'


CASES = {
    'jpg': ('.jpg', 3, 1, ''),
    'png_zero': ('.png', 3, 0, "img_suffix = '.png'\nreduce_zero_label = False"),
    'grey': ('.png', 1, 1, "img_suffix = '.png'\n" + stats(1)),
    'npy3': ('.npy', 3, 0, "img_suffix = '.npy'\nreduce_zero_label = False\n" + stats(3)),
    'png4': ('.png', 4, 0, "img_suffix = '.png'\nreduce_zero_label = False\n" + stats(4)),
    'tif8': ('.tif', 8, 1, "img_suffix = '.tif'\n" + stats(8)),
    'npy8': ('.npy', 8, 0, "img_suffix = '.npy'\nreduce_zero_label = False\n" + stats(8)),
}


@pytest.mark.parametrize('case', CASES)
def test_trains_and_tests(monkeypatch, tmp_path, case):
    suffix, channels, first, text = CASES[case]
    data = draw(tmp_path / 'data', suffix, channels, first)
    text += f'\nclasses = {CLASSES}\nclass_weight = [1, 2.5, 1]'
    config = segmentation_config(tmp_path / 'mine.py', data, text)
    work = tmp_path / 'run'
    assert run_tool(monkeypatch, 'train', config, '--work-dir', work) == 0
    state = read_checkpoint(work / 'iter_1.pth')['state_dict']
    assert state['backbone.stages.0.patch_embed.proj.weight'].shape[1] == channels
    assert state['decode_head.conv_seg.weight'].shape[0] == 3
    extra = ['--tta'] if case == 'png4' else []
    assert (
        run_tool(monkeypatch, 'test', config, work / 'iter_1.pth', '--work-dir', work, *extra) == 0
    )
    (scores,) = [
        json.loads(p.read_text()) for p in work.glob('*/*.json') if 'mIoU' in p.read_text()
    ][-1:]
    assert 0 <= scores['mIoU'] <= 100
    cfg = runs.load_config(str(config))
    assert cfg.model.decode_head.loss_decode.class_weight == [1.0, 2.5, 1.0]
    from mmseg.registry import DATASETS

    init_default_scope('mmseg')
    item = DATASETS.build(cfg.val_dataloader.dataset)[0]
    assert item['inputs'].shape[0] == channels
    labels = item['data_samples'].gt_sem_seg.data
    assert sorted(torch.unique(labels).tolist()) == [0, 1, 2, 255]


def test_options_set_everything(tmp_path):
    """The same facts, all on the command line."""
    config = str(ROOT / 'configs' / 'fpn_coat_lite_s_own.py')
    options = dict(
        classes=['a', 'b', 'c', 'd'],
        img_suffix='.tif',
        seg_map_suffix='_mask.png',
        reduce_zero_label=False,
        mean=[1, 2, 3, 4],
        std=[1, 1, 1, 1],
        class_weight=[1, 2, 3, 4],
        train_img_dir='img',
        train_map_dir='mask',
        train_ann_file='train.txt',
        val_ann_file='val.txt',
        test_img_dir='test_img',
    )
    cfg = runs.load_config(config, options)
    train, val, test = (cfg[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test'))
    assert train.data_prefix == dict(img_path='img', seg_map_path='mask')
    assert val.data_prefix.img_path == 'images/validation'
    assert test.data_prefix == dict(img_path='test_img', seg_map_path='annotations/validation')
    assert (train.ann_file, val.ann_file, test.ann_file) == ('train.txt', 'val.txt', 'val.txt')
    for dataset in (train, val, test):
        assert dataset.metainfo.classes == ('a', 'b', 'c', 'd')
        assert len(dataset.metainfo.palette) == 4
        assert (dataset.img_suffix, dataset.seg_map_suffix) == ('.tif', '_mask.png')
        kinds = [step.type for step in dataset.pipeline]
        assert kinds[0] == 'mmcoat.LoadChannels' and 'PhotoMetricDistortion' not in kinds
        labels = [step for step in dataset.pipeline if step.type == 'LoadAnnotations']
        assert dataset.reduce_zero_label is labels[0].reduce_zero_label is False
    assert cfg.tta_pipeline[0].type == 'mmcoat.LoadChannels'
    assert cfg.tta_pipeline[1].transforms[2][0].reduce_zero_label is False
    model = cfg.model
    assert model.backbone.in_channels == 4
    assert model.decode_head.num_classes == 4
    assert model.decode_head.loss_decode.class_weight == [1, 2, 3, 4]
    assert model.data_preprocessor.type == 'mmcoat.SegDataPreProcessor'
    assert model.data_preprocessor.mean == [1, 2, 3, 4]
    assert not model.data_preprocessor.bgr_to_rgb
    dump = tmp_path / 'dump.py'
    cfg.dump(str(dump))
    again = runs.load_config(
        str(dump), dict(classes=['x', 'y'], class_weight=[1, 1], mean=[0], std=[1])
    )
    assert again.model.decode_head.num_classes == 2
    assert again.model.backbone.in_channels == 1
    assert again.train_dataloader.dataset.pipeline[0].channels == 1
    assert len(again.val_dataloader.dataset.metainfo.palette) == 2


def test_a_place_keeps_what_a_file_sets_there(tmp_path):
    text = "img_suffix = '.png'\nval_dataloader = dict(dataset=dict(img_suffix='.bmp'))"
    cfg = runs.load_config(str(segmentation_config(tmp_path / 'mine.py', tmp_path, text)))
    suffixes = [cfg[f'{n}_dataloader'].dataset.img_suffix for n in ('train', 'val', 'test')]
    assert suffixes == ['.png', '.bmp', '.png']


@pytest.mark.parametrize(
    'text, message',
    [
        ("classes = ('a', 'b')\nnum_classes = 3", 'num_classes=3, but there are 2 classes: a, b'),
        ("classes = ('a', 'a')", 'classes must be different names'),
        ("classes = ('a', 'b')\npalette = [[1, 2, 3]]", 'palette has 1 colours for 2 classes'),
        ('palette = [[1, 2, 300]] * 3', 'palette must be'),
        ('class_weight = [1, 2]', 'class_weight has 2 values for 3 classes'),
        ('mean = [1, 2]', 'mean has 2 values and std 3'),
        ('std = [1, 0, 2]', 'std must be positive'),
        ("reduce_zero_label = 'no'", 'reduce_zero_label must be True or False'),
        ('img_suffix = 3', 'img_suffix must be a text'),
        ("classes = ('a',)\nmetainfo = dict(classes=('b',))", 'not both'),
        (
            'model["decode_head"] = dict(num_classes=5)',
            'num_classes=5 of the FPNHead, but there are 3',
        ),
    ],
)
def test_what_does_not_fit_together(tmp_path, text, message):
    config = segmentation_config(tmp_path / 'mine.py', tmp_path, text)
    with pytest.raises(runs.config.UsageError, match=message.replace('[', r'\[')):
        runs.load_config(str(config))


def test_metainfo_still_serves(tmp_path):
    text = "metainfo = dict(classes=('a', 'b'), palette=[[1, 2, 3], [4, 5, 6]])"
    parent = segmentation_config(tmp_path / 'parent.py', tmp_path, text)
    cfg = runs.load_config(str(parent))
    assert cfg.model.decode_head.num_classes == 2
    assert cfg.train_dataloader.dataset.metainfo.palette == [(1, 2, 3), (4, 5, 6)]
    child = tmp_path / 'child.py'
    child.write_text("_base_ = './parent.py'\nclasses = ('x', 'y', 'z', 'u')\n")
    cfg = runs.load_config(str(child))
    assert cfg.model.decode_head.num_classes == 4
    assert cfg.test_dataloader.dataset.metainfo.classes == ('x', 'y', 'z', 'u')
