"""The published detectors, MMDetection 2.x files and Deformable DETR, load unmodified and strictly."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint

from mmcoat.checkpoints import CheckpointError, read_checkpoint
from mmcoat.datasets.synthetic import make_coco
from tests import golden
from tests.detection.common import build, official_2x, small
from tests.helpers import ROOT, run_tool

# The six models of the 12 instance-segmentation files: each was trained 1x and 3x.
PUBLISHED = [
    ('mask_rcnn_coat_lite_mini_1x_coco.py', 'lite_mini', False),
    ('mask_rcnn_coat_lite_s_1x_coco.py', 'lite_small', False),
    ('mask_rcnn_coat_mini_1x_coco.py', 'mini', False),
    ('mask_rcnn_coat_s_1x_coco.py', 'small', False),
    ('cascade_mask_rcnn_coat_lite_s_1x_coco.py', 'lite_small', True),
    ('cascade_mask_rcnn_coat_s_1x_coco.py', 'small', True),
]


def save(path, weights: dict[str, torch.Tensor]):
    """Write a file as MMDetection 2.x does."""
    meta = dict(mmdet_version='2.6.0', epoch=12, CLASSES=('person', 'bicycle'), hook_msgs={})
    torch.save({'meta': meta, 'state_dict': OrderedDict(weights)}, path)
    return path


@pytest.mark.parametrize('name, arch, cascade', PUBLISHED)
def test_loads_strictly(name, arch, cascade, tmp_path):
    model, weights = build(small(name)), official_2x(arch, cascade)
    assert len(weights) > len(model.state_dict())  # the aliases
    path = save(tmp_path / 'official.pth', weights)
    load_checkpoint(model, str(path), map_location='cpu', strict=True)
    state = model.state_dict()
    for key, value in weights.items():
        if not key.startswith('backbone.'):
            assert torch.equal(state[key], value), key
    qkv = weights['backbone.serial_blocks4.0.factoratt_crpe.qkv.weight']
    assert torch.equal(state['backbone.stages.3.blocks.0.attn.qkv.weight'], qkv)


def test_backbone_after_loading_gives_the_golden_maps():
    model, record = build(small('mask_rcnn_coat_mini_1x_coco.py')), golden.load('coat.json')
    model.load_state_dict(official_2x('mini'))
    case = record[golden.ARCHS['mini']]['features'][0]
    with torch.inference_mode():
        maps = model.eval().backbone(golden.image(case['input']))
    for output, expected in zip(maps, case['outputs'], strict=True):
        golden.assert_matches(output, expected)


def test_another_arch_is_an_error_for_lenient_loaders_too():
    model = build(small('mask_rcnn_coat_mini_1x_coco.py'))
    with pytest.raises(CheckpointError, match="arch 'tiny'"):
        model.load_state_dict(official_2x('tiny'), strict=False)
    weights = official_2x('mini')
    del weights['backbone.parallel_blocks.2.norm13.weight']
    with pytest.raises(CheckpointError, match='missing'):
        model.load_state_dict(weights, strict=False)


# ---------------------------------------------------------------------- tools and inferencers


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('coco')
    make_coco(root, train=4, val=2, size=(96, 64), seed=3, overwrite=True)
    return root


def options(data_root) -> list[str]:
    return [
        '--cfg-options',
        f'data_root={data_root}/',
        'test_dataloader.dataset.pipeline.1.scale=(96,64)',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
        'model.test_cfg.rcnn.max_per_img=3',
        'model.test_cfg.max_per_img=3',
    ]


def config(name: str):
    return ROOT / 'configs' / name


def test_mask_rcnn_through_test_py(monkeypatch, tmp_path, data_root, capsys):
    path = save(tmp_path / 'mask_rcnn_coat_lite_mini_1x.pth', official_2x('lite_mini'))
    arguments = ['--work-dir', tmp_path / 'run', *options(data_root)[:-1]]
    name = 'mask_rcnn_coat_lite_mini_3x_coco.py'
    assert run_tool(monkeypatch, 'test', config(name), path, *arguments) == 0
    # a cascade's file is not Mask R-CNN's
    path = save(tmp_path / 'cascade.pth', official_2x('lite_mini', cascade=True))
    assert run_tool(monkeypatch, 'test', config(name), path, *arguments) == 2
    assert 'does not fit' in capsys.readouterr().err


@pytest.fixture(scope='module')
def deformable_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'coat_lite_small_deformable_detr.pth'
    spec = golden.load('deformable_detr.json')['coat_lite_small']['state_dict']
    torch.save({'model': golden.state_dict(spec), 'epoch': 49, 'lr_scheduler': {}}, path)
    return path


def test_deformable_detr_through_test_py(monkeypatch, tmp_path, data_root, deformable_file, capsys):
    name = 'deformable_detr_coat_lite_s_coco.py'
    arguments = ['--work-dir', tmp_path / 'run', *options(data_root)]
    arguments.remove('model.test_cfg.rcnn.max_per_img=3')
    assert run_tool(monkeypatch, 'test', config(name), deformable_file, *arguments) == 0
    other = 'deformable_detr_coat_s_coco.py'
    assert run_tool(monkeypatch, 'test', config(other), deformable_file, *arguments) == 2
    assert 'does not fit' in capsys.readouterr().err


def test_deformable_detr_in_the_inferencer(deformable_file):
    from mmdet.apis import DetInferencer

    cfg = small('deformable_detr_coat_lite_s_coco.py')
    cfg.model.num_queries = 300
    cfg.test_dataloader.dataset.pipeline[1].scale = (96, 64)
    inferencer = DetInferencer(cfg, str(deformable_file), device='cpu', show_progress=False)
    spec = golden.load('deformable_detr.json')['coat_lite_small']['state_dict']
    expected = golden.fill('query_embed.weight', spec['query_embed.weight']['shape'])
    assert torch.equal(inferencer.model.query_embedding.weight, expected)
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    (found,) = inferencer(image, no_save_vis=True, return_vis=False)['predictions']
    assert len(found['bboxes']) == 100


def test_deformable_detr_as_load_from(monkeypatch, tmp_path, data_root, deformable_file):
    """One epoch of training that starts from the official file, on images of mixed sizes."""
    user = tmp_path / 'mine.py'
    user.write_text(f"""
_base_ = {str(config('deformable_detr_coat_lite_s_coco.py'))!r}
load_from = {str(deformable_file)!r}
model = dict(backbone=dict(init_cfg=None))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(96, 64), (72, 48)], keep_ratio=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = None
val_evaluator = None
val_cfg = None
optim_wrapper = dict(optimizer=dict(lr=0.0, weight_decay=0.0))
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(save_best=None))
""")
    status = run_tool(
        monkeypatch,
        'train',
        user,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={data_root}/',
    )
    assert status == 0
    trained = read_checkpoint(tmp_path / 'epoch_1.pth')
    weight = trained['state_dict']['query_embedding.weight']
    assert torch.equal(weight, golden.fill('query_embed.weight', list(weight.shape)))
