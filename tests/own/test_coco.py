"""Three user categories in COCO's format: Mask R-CNN trains a step on them and is tested."""

import json

import numpy as np
import pytest

from mmcoat import runs
from mmcoat.checkpoints import read_checkpoint
from mmcoat.datasets.synthetic import make_coco
from tests.helpers import ROOT, run_tool

pytest.importorskip('mmdet')
CLASSES = ['cup', 'bottle', 'ball']


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Drawn COCO under other names: three categories, unusual ids, other folders."""
    root = tmp_path_factory.mktemp('own_coco')
    make_coco(root, train=4, val=2, size=(96, 96), seed=3, overwrite=True)
    for split in ('train', 'val'):
        (root / f'{split}2017').rename(root / f'{split}_images')
        path = root / 'annotations' / f'instances_{split}2017.json'
        content = json.loads(path.read_text())
        content['categories'] = [dict(id=7 + 5 * i, name=name) for i, name in enumerate(CLASSES)]
        for index, annotation in enumerate(content['annotations']):
            annotation['category_id'] = 7 + 5 * (index % 3)
        (root / f'{split}.json').write_text(json.dumps(content))
    return root


def config(path, root, text=''):
    path.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'mask_rcnn_coat_lite_s_own.py')!r}
classes = {CLASSES!r}
data_root = {str(root)!r}
train_ann_file = 'train.json'
train_img_dir = 'train_images'
val_ann_file = 'val.json'
val_img_dir = 'val_images'
model = dict(
    backbone=dict(init_cfg=None, arch='lite_tiny'),
    neck=dict(in_channels=[64, 128, 256, 320]),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(max_per_img=3, score_thr=0.0)),
)
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_epochs=1, val_interval=9)
default_hooks = dict(checkpoint=dict(save_best=None))
{text}
""")
    return path


def small(channels):
    """Pipelines at the images' own size; the loading follows the means."""
    load = "dict(type='LoadImageFromFile')"
    labels = "dict(type='LoadAnnotations', with_bbox=True, with_mask=True)"
    keys = "('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')"
    size = "dict(type='Resize', scale=(96, 96), keep_ratio=True)"
    return f"""
train_pipeline = [{load}, {labels}, {size}, dict(type='PackDetInputs')]
test_pipeline = [{load}, {size}, {labels}, dict(type='PackDetInputs', meta_keys={keys})]
train_dataloader['dataset'] = dict(pipeline=train_pipeline)
val_dataloader['dataset'] = dict(pipeline=test_pipeline)
test_dataloader['dataset'] = dict(pipeline=test_pipeline)
mean = {[100.0] * channels}
std = {[60.0] * channels}
"""


def test_num_classes_and_files_follow(tmp_path, root):
    cfg = runs.load_config(str(config(tmp_path / 'mine.py', root)))
    head = cfg.model.roi_head
    assert head.bbox_head.num_classes == head.mask_head.num_classes == 3
    for name in ('val', 'test'):
        assert cfg[f'{name}_evaluator'].ann_file == f'{root}/val.json'
        dataset = cfg[f'{name}_dataloader'].dataset
        assert (dataset.ann_file, dataset.data_prefix.img) == ('val.json', 'val_images')
        assert dataset.metainfo.classes == tuple(CLASSES)
        assert len(dataset.metainfo.palette) == 3
    cfg = runs.load_config(
        str(ROOT / 'configs' / 'mask_rcnn_coat_lite_s_own.py'),
        dict(classes=['x', 'y'], data_root='here', test_ann_file='test.json'),
    )
    head = cfg.model.roi_head
    assert head.bbox_head.num_classes == head.mask_head.num_classes == 2
    assert cfg.val_evaluator.ann_file == 'here/annotations/val.json'
    assert cfg.test_evaluator.ann_file == 'here/test.json'


@pytest.mark.parametrize('channels', [3, 4])
def test_trains_and_tests(monkeypatch, tmp_path, root, channels):
    data = root
    if channels == 4:  # the same objects in four-channel arrays
        data = tmp_path / 'data'
        for split in ('train', 'val'):
            content = json.loads((root / f'{split}.json').read_text())
            (data / f'{split}_images').mkdir(parents=True)
            for index, image in enumerate(content['images']):
                image['file_name'] = f'{index}.npy'
                shape = (image['height'], image['width'], 4)
                values = np.random.default_rng(index).integers(0, 255, shape).astype(np.uint16)
                np.save(data / f'{split}_images' / f'{index}.npy', values)
            (data / f'{split}.json').write_text(json.dumps(content))
    path = config(tmp_path / 'mine.py', data, small(channels))
    work = tmp_path / 'run'
    assert run_tool(monkeypatch, 'train', path, '--work-dir', work) == 0
    state = read_checkpoint(work / 'epoch_1.pth')['state_dict']
    assert state['roi_head.bbox_head.fc_cls.weight'].shape[0] == 4
    assert state['roi_head.mask_head.conv_logits.weight'].shape[0] == 3
    assert state['backbone.stages.0.patch_embed.proj.weight'].shape[1] == channels
    # drawing needs colours as tuples; it reads pictures of three channels
    options = ['--show-dir', tmp_path / 'drawn'] if channels == 3 else []
    assert (
        run_tool(monkeypatch, 'test', path, work / 'epoch_1.pth', '--work-dir', work, *options) == 0
    )
    if options:
        assert len(list((tmp_path / 'drawn').rglob('*.*'))) == 2
    scores = [json.loads(p.read_text()) for p in work.glob('*/*.json') if 'coco' in p.read_text()]
    assert 'coco/segm_mAP' in scores[-1]


def test_a_class_without_a_category(monkeypatch, capsys, tmp_path, root):
    path = config(tmp_path / 'mine.py', root, "classes = ['cup', 'cat']\n")
    assert run_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'run') == 2
    error = capsys.readouterr().err.strip()
    assert f'{root}/train.json has no category cat; it has cup, bottle, ball' in error
    assert len(error.splitlines()) == 1
