"""Every segmentation config builds, and takes a forward and a backward pass."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mmcoat import runs
from tests.helpers import ROOT, configs, load

mmseg_structures = pytest.importorskip('mmseg.structures')
HEADS = ('upernet', 'fpn', 'segformer', 'unet', 'daformer')
NAMES = configs(*(f'{head}_*_ade20k.py' for head in HEADS))
SIZE = 64


def build(name: str):
    from mmseg.registry import MODELS

    cfg = load(name)
    runs.fit_to_devices(cfg)
    init_default_scope('mmseg')
    cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor.size = (SIZE, SIZE)
    return cfg, MODELS.build(cfg.model)


def samples(count: int, size: int):
    out = []
    for _ in range(count):
        sample = mmseg_structures.SegDataSample()
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 150, (1, size, size)))
        sample.set_metainfo(dict(img_shape=(size, size), ori_shape=(size, size)))
        out.append(sample)
    return out


def test_all_variants_are_there():
    all_heads = {
        f'{head}_coat_{v}_ade20k.py'
        for head in HEADS[:3]
        for v in ('lite_t', 'lite_mini', 'lite_s', 'lite_m', 't', 'mini', 's')
    }
    all_heads |= {f'{head}_coat_{v}_ade20k.py' for head in HEADS[3:] for v in ('lite_m', 's')}
    all_heads |= {'unet_coat_lite_m_5scales_ade20k.py'}
    assert all_heads == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_builds_and_steps(name):
    _, model = build(name)
    consumer = model.neck if model.with_neck else model.decode_head
    assert list(model.backbone.out_channels) == list(consumer.in_channels)
    data = model.data_preprocessor(
        dict(
            inputs=[torch.randint(0, 255, (3, SIZE, SIZE), dtype=torch.uint8)] * 2,
            data_samples=samples(2, SIZE),
        ),
        training=True,
    )
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking
    model.eval()
    with torch.no_grad():
        logits = model(data['inputs'], mode='tensor')
    assert logits.shape[:2] == (2, 150)


@pytest.mark.parametrize('name', NAMES)
def test_recipe(name):
    cfg = load(name)
    assert cfg.model.backbone.init_cfg.checkpoint.startswith(
        'https://vcl.ucsd.edu/coat/pretrained/coat_'
    )
    five = '_5scales' in name
    arch = 'lite_medium' if five else cfg.model.backbone.arch
    assert f'coat_{arch}_' in cfg.model.backbone.init_cfg.checkpoint
    assert cfg.model.data_preprocessor.test_cfg.size_divisor == (64 if five else 32)
    # by CoaT's rule, or the authors' own for Small on COCO: as _base_/models/segmentor_coat.py says
    assert cfg.model.backbone.drop_path_rate == (0.2 if arch in ('small', 'lite_medium') else 0.1)
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == 0
    if name.startswith('upernet'):
        assert cfg.optim_wrapper.optimizer.lr == 6e-5
        assert cfg.train_dataloader.batch_size == 2
        assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 160000


@pytest.mark.parametrize('name', NAMES)
def test_variants_hold_only_their_difference(name):
    assert len((ROOT / 'configs' / name).read_text().splitlines()) <= 25


def test_base_names_are_unique():
    """mim finds configs by their base name."""
    names = [p.name for p in (ROOT / 'configs').rglob('*.py')]
    assert len(names) == len(set(names))


def test_test_time_augmentation_and_odd_images():
    """The TTA config, and test images that are no multiple of 32, go through the whole model."""
    from mmseg.registry import MODELS

    cfg = load('upernet_coat_lite_t_ade20k.py')
    cfg.model.backbone.init_cfg = None
    runs.fit_to_devices(cfg)
    runs.enable_tta(cfg)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model).eval()
    sample = samples(1, 50)[0]
    views = [torch.randint(0, 255, (3, 50, 70), dtype=torch.uint8) for _ in range(2)]
    metas = []
    for flip in (False, True):
        view = sample.clone()
        view.set_metainfo(
            dict(
                img_shape=(50, 70),
                ori_shape=(50, 70),
                flip=flip,
                flip_direction='horizontal',
                img_path='a.jpg',
            )
        )
        metas.append([view])
    data = dict(inputs=[[v] for v in views], data_samples=metas)
    with torch.no_grad():
        (result,) = model.test_step(data)
    assert result.pred_sem_seg.data.shape[-2:] == (50, 70)
