"""Every COCO config builds, takes a training step and predicts; recipes are what they claim to be."""

import os

import pytest
import torch
from mmengine.config import Config

from tests.detection.common import batch, build, losses, predictions, small
from tests.helpers import ROOT, configs, load

NAMES = configs('*_coco.py')
MODEL_NAMES = [name for name in NAMES if '_3x_' not in name]  # 3x has 1x's model, see below
SEGMENTORS = configs('mask2former_*_ade20k.py')
VARIANTS = ('lite_t', 'lite_mini', 'lite_s', 'lite_m', 't', 'mini', 's')


def test_all_configs_are_there():
    wanted = {f'mask_rcnn_coat_{v}_{s}_coco.py' for v in VARIANTS for s in ('1x', '3x')}
    for variant in ('lite_s', 's'):
        wanted |= {f'cascade_mask_rcnn_coat_{variant}_{s}_coco.py' for s in ('1x', '3x')}
        wanted |= {
            f'{head}_coco.py'
            for head in (
                f'deformable_detr_coat_{variant}',
                f'retinanet_coat_{variant}_1x',
                f'retinanet_coat_{variant}_adamw_1x',
                f'atss_dyhead_coat_{variant}_2x',
                f'dino_4scale_coat_{variant}_12e',
                f'mask2former_coat_{variant}',
            )
        }
    assert wanted == set(NAMES)
    assert {f'mask2former_coat_{v}_ade20k.py' for v in VARIANTS} == set(SEGMENTORS)


def input_channels(model: torch.nn.Module) -> list[int]:
    """Return the input channels of the convolutions that receive the backbone's maps."""
    if not model.with_neck:  # Mask2Former: the pixel decoder, from the smallest map to the largest
        decoder = model.panoptic_head.pixel_decoder
        convs = [*decoder.input_convs, *reversed(decoder.lateral_convs)][::-1]
        return [conv.conv.in_channels for conv in convs]
    first = model.neck[0] if isinstance(model.neck, torch.nn.Sequential) else model.neck
    convs = first.lateral_convs if hasattr(first, 'lateral_convs') else first.convs
    return [conv.in_channels for conv in convs]


@pytest.mark.parametrize('name', MODEL_NAMES)
def test_steps_and_predicts(name):
    """On a batch of mixed sizes, in which one image has no objects."""
    torch.manual_seed(0)
    model = build(small(name))
    assert list(model.backbone.out_channels) == input_channels(model)
    loss = losses(model, batch())
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking
    results = predictions(model, batch(objects=(0, 0)))
    for result, (height, width) in zip(results, ((64, 96), (96, 64)), strict=True):
        found = result.pred_instances
        assert found.bboxes.shape == (len(found.scores), 4)
        if 'mask' in name:
            assert found.masks.shape[-2:] == (height, width)


@pytest.mark.parametrize('name', [name for name in NAMES if '_3x_' in name])
def test_3x_is_1x_with_its_schedule(name):
    long, short = (load(n)._cfg_dict.to_dict() for n in (name, name.replace('_3x_', '_1x_')))
    differing = {key for key in long | short if long.get(key) != short.get(key)}
    assert differing == {'train_cfg', 'param_scheduler'}
    assert (short['train_cfg']['max_epochs'], long['train_cfg']['max_epochs']) == (12, 36)
    assert short['param_scheduler'][1]['milestones'] == [8, 11]
    assert long['param_scheduler'][1]['milestones'] == [27, 33]


@pytest.mark.parametrize('name', [*NAMES, *SEGMENTORS])
def test_recipe(name):
    cfg = load(name)
    backbone = cfg.model.backbone
    assert backbone.type == 'mmcoat.CoaT'
    assert backbone.init_cfg.checkpoint.startswith(
        f'https://vcl.ucsd.edu/coat/pretrained/coat_{backbone.arch}_'
    )
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_dataloader.batch_size == 2
    if 'mask_rcnn' in name:
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, 0.05)
        assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == 0
        if 'lite_m_' not in name:
            assert backbone.drop_path_rate == (0.2 if backbone.arch == 'small' else 0.0)
    elif 'deformable' not in name and backbone.arch == 'lite_small':
        # half of Swin-T's, whose rates rise over depth from 0
        assert backbone.drop_path_rate == (0.15 if 'mask2former' in name else 0.1)
    if name in SEGMENTORS:  # as _base_/models/mask2former_segmentor_coat.py says
        own = backbone.arch in ('small', 'lite_medium')
        assert backbone.drop_path_rate == (0.2 if own else 0.15)
    elif 'deformable' not in name and 'mask_rcnn' not in name and backbone.arch == 'small':
        assert backbone.drop_path_rate == 0.2  # the authors' own on COCO
    if name in NAMES:
        assert cfg.env_cfg.cudnn_benchmark is False
        assert ('tta_model' in cfg) == ('mask' not in name)
    assert len((ROOT / 'configs' / name).read_text().splitlines()) <= 30


@pytest.mark.parametrize('name', ['mask2former_coat_s_coco.py', 'mask_rcnn_coat_s_1x_coco.py'])
def test_no_decay_on_norms_and_class_tokens(name):
    from mmengine.optim import build_optim_wrapper

    cfg = small(name)
    model = build(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    by_id = {id(p): group for group in wrapper.optimizer.param_groups for p in group['params']}
    tenth = 'mask2former' in name
    for key, parameter in model.backbone.named_parameters():
        group = by_id[id(parameter)]
        still = 'norm' in key or 'cls_token' in key
        assert (group['weight_decay'] == 0) == still, key
        assert group['lr'] == pytest.approx(1e-5 if tenth else 1e-4), key


def test_deformable_detr_learning_rates():
    from mmengine.optim import build_optim_wrapper

    cfg = small('deformable_detr_coat_lite_s_coco.py')
    model = build(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    by_id = {id(p): group for group in wrapper.optimizer.param_groups for p in group['params']}
    for key, parameter in model.named_parameters():
        slow = key.startswith('backbone.') or 'sampling_offsets' in key or 'reference_points' in key
        assert by_id[id(parameter)]['lr'] == pytest.approx(2e-5 if slow else 2e-4), key
    assert cfg.param_scheduler[0].milestones == [40] and cfg.train_cfg.max_epochs == 50


# (ours, MMDetection's, what may differ besides backbone, input channels and what says the same)
TWINS = [
    ('mask_rcnn_coat_s_1x_coco.py', '_base_/models/mask-rcnn_r50_fpn.py', set()),
    (
        'retinanet_coat_s_1x_coco.py',
        'swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py',
        set(),
    ),
    (
        'mask2former_coat_s_coco.py',
        'mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py',
        {'init_cfg', 'data_preprocessor.seg_pad_value'},
    ),
    (
        'dino_4scale_coat_s_12e_coco.py',
        'dino/dino-4scale_r50_8xb2-12e_coco.py',
        {
            'decoder.layer_cfg.cross_attn_cfg.batch_first',
            'decoder.layer_cfg.self_attn_cfg.batch_first',
            'encoder.layer_cfg.self_attn_cfg.batch_first',
        },
    ),
    (
        'atss_dyhead_coat_s_2x_coco.py',
        'dyhead/atss_swin-l-p4-w12_fpn_dyhead_ms-2x_coco.py',
        set(),
    ),
]


@pytest.mark.parametrize('name, twin, allowed', TWINS)
def test_equal_to_mmdetection_but_for_the_backbone(name, twin, allowed):
    import mmdet

    path = os.path.join(os.path.dirname(mmdet.__file__), '.mim', 'configs', twin)
    if not os.path.isfile(path):
        pytest.skip('this MMDetection was installed without its configs')
    ours, theirs = _flat(load(name).model), _flat(Config.fromfile(path).model)
    differing = {key for key in ours | theirs if ours.get(key, ()) != theirs.get(key, ())}
    differing = {k for k in differing if not k.startswith('backbone.') and 'in_channels' not in k}
    assert differing == allowed


def _flat(node, prefix: str = '') -> dict:
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list | tuple) and any(isinstance(x, dict | list | tuple) for x in node):
        items = enumerate(node)
    else:
        return {prefix.rstrip('.'): list(node) if isinstance(node, tuple) else node}
    flat = {}
    for key, value in items:
        flat |= _flat(value, f'{prefix}{key}.')
    return flat


@pytest.mark.parametrize('name', SEGMENTORS)
def test_mask2former_segmentor(name):
    pytest.importorskip('mmseg.models')
    from mmengine.registry import init_default_scope
    from mmengine.structures import PixelData
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample

    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.model.decode_head.num_queries = 20
    cfg.model.decode_head.train_cfg.num_points = 64
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    assert list(model.backbone.out_channels) == list(cfg.model.decode_head.in_channels)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, 64, 64))))
    sample.set_metainfo(dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64)))
    data = dict(
        inputs=[torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)], data_samples=[sample]
    )
    assert torch.isfinite(losses(model, data))
    (result,) = predictions(model, data)
    assert result.pred_sem_seg.data.shape == (1, 64, 64)


def test_a_batch_without_any_objects():
    """All of its images are negatives: the losses of boxes and masks are zero, and trainable."""
    model = build(small('mask_rcnn_coat_lite_t_1x_coco.py'))
    loss = losses(model, batch(objects=(0, 0)))
    loss.backward()
    assert torch.isfinite(loss)


def test_test_time_augmentation():
    """Boxes of an image and of its mirror image are merged into one result."""
    from mmdet.registry import MODELS, TRANSFORMS

    from mmcoat import runs

    cfg = small('retinanet_coat_lite_s_1x_coco.py')
    runs.enable_tta(cfg)
    pipeline = cfg.test_dataloader.dataset.pipeline
    model = build(cfg)
    assert isinstance(model, MODELS.get('DetTTAModel'))
    augment = pipeline[1].transforms
    augment[0] = [dict(type='Resize', scale=(96, 64), keep_ratio=True)]
    augment[2] = [dict(type='mmdet.Pad', size_divisor=1)]  # this image has no annotations
    image = torch.randint(0, 255, (64, 96, 3), dtype=torch.uint8).numpy()
    item = dict(img=image, img_id=0, img_path='a.jpg', ori_shape=(64, 96), img_shape=(64, 96))
    views = TRANSFORMS.build(pipeline[1])(item)
    assert [sample.flip for sample in views['data_samples']] == [False, True]
    data = {key: [[view] for view in value] for key, value in views.items()}
    (result,) = predictions(model, data)
    assert result.pred_instances.bboxes.shape[1] == 4
