"""Runner on generated COCO, and the real pipelines at their real sizes."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmcoat.checkpoints import read_checkpoint
from mmcoat.datasets.synthetic import make_coco
from tests.detection.common import build, predictions, small
from tests.helpers import ROOT, load, run_tool

from mmdet.registry import DATASETS, TRANSFORMS  # isort: skip  common skips without MMDetection


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('coco')
    make_coco(root, train=6, val=2, size=(128, 96), seed=5, overwrite=True)
    return root


def test_train_resume_and_test(monkeypatch, tmp_path, data_root):
    """Mask R-CNN through the tools: an epoch, a second one after resuming, and the evaluation."""
    user = tmp_path / 'mine.py'
    user.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'mask_rcnn_coat_lite_t_1x_coco.py')!r}
model = dict(
    backbone=dict(init_cfg=None),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(max_per_img=3)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(128, 96), (96, 72)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
quick = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    dataset=dict(pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=False)), **quick
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline), **quick)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline), **quick)
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(save_best=None), logger=dict(interval=1))
""")
    shared = ['--work-dir', tmp_path / 'run', '--cfg-options', f'data_root={data_root}/']
    assert run_tool(monkeypatch, 'train', user, *shared) == 0
    first = read_checkpoint(tmp_path / 'run' / 'epoch_1.pth')
    status = run_tool(monkeypatch, 'train', user, '--resume', *shared, 'train_cfg.max_epochs=2')
    assert status == 0
    path = tmp_path / 'run' / 'epoch_2.pth'
    second = read_checkpoint(path)
    key = 'roi_head.mask_head.convs.0.conv.weight'
    assert not torch.equal(first['state_dict'][key], second['state_dict'][key])
    pictures = tmp_path / 'pictures'
    status = run_tool(monkeypatch, 'test', user, path, '--show-dir', pictures, *shared)
    assert status == 0
    assert (
        len(list((tmp_path / 'run').rglob('pictures/*.jpg')) or list(pictures.rglob('*.jpg'))) == 2
    )


@pytest.mark.parametrize(
    'name', ['coco_detection', 'coco_detection_detr', 'coco_instance', 'coco_instance_lsj']
)
def test_training_pipelines_on_generated_coco(data_root, name):
    """At their real scales: images of the size that the recipe says, objects inside."""
    init_default_scope('mmdet')
    cfg = load(f'_base_/datasets/{name}.py')
    cfg.train_dataloader.dataset.data_root = f'{data_root}/'
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for index in range(len(dataset)):
        item = dataset[index]
        height, width = item['inputs'].shape[-2:]
        assert 1 <= height <= 1333 and 1 <= width <= 1333
        if name != 'coco_instance_lsj':
            assert min(height, width) >= 480
        objects = item['data_samples'].gt_instances
        boxes = objects.bboxes.tensor
        assert (boxes[:, 2:] <= torch.tensor([width, height]) + 1e-3).all()
        if name.startswith('coco_instance'):
            masks = objects.masks
            assert len(masks) == len(boxes)
            assert (masks.height, masks.width) == (height, width)


def test_real_test_pipeline_on_portrait_and_landscape(tmp_path):
    """800 x 1333 through CoaT-Lite Tiny, one batch of both: results in the original images."""
    cfg = small('mask_rcnn_coat_lite_t_1x_coco.py')
    cfg.model.test_cfg.rpn.max_per_img = 20
    cfg.model.test_cfg.rcnn.max_per_img = 3
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    init_default_scope('mmdet')
    steps = [
        TRANSFORMS.build(step)
        for step in cfg.test_dataloader.dataset.pipeline
        if step.type != 'LoadAnnotations'
    ]
    items = []
    for index, (height, width) in enumerate(((501, 333), (375, 500))):
        path = tmp_path / f'{index}.jpg'
        cv2.imwrite(str(path), np.random.default_rng(index).integers(0, 255, (height, width, 3)))
        item = dict(img_path=str(path), img_id=index)
        for step in steps:
            item = step(item)
        items.append(item)
    assert [tuple(item['inputs'].shape[-2:]) for item in items] == [(1204, 800), (800, 1067)]
    model = build(cfg)
    data = pseudo_collate(items)
    padded = model.data_preprocessor(data, training=False)['inputs']
    assert padded.shape == (2, 3, 1216, 1088)
    results = predictions(model, pseudo_collate(items))
    for result, (height, width) in zip(results, ((501, 333), (375, 500)), strict=True):
        found = result.pred_instances
        assert found.masks.shape[-2:] == (height, width)
        limit = torch.tensor([width, height, width, height])
        assert ((found.bboxes >= 0) & (found.bboxes <= limit)).all()
