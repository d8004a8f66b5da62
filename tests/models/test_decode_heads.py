"""Our decode heads on CoaT's maps: shapes, odd sizes, gradients, errors, one training step."""

import pytest
import torch

pytest.importorskip('mmseg')
from mmengine.registry import MODELS, init_default_scope

from mmcoat import ARCH_ZOO, CoaT
from mmcoat.models.decode_heads import build_daformer_head, build_unet_head

COMMON = dict(num_classes=5, norm_cfg=dict(type='BN'), dropout_ratio=0.0)
HEADS = {
    'unet': lambda dims: build_unet_head(
        in_channels=dims, decoder_channels=(16, 12, 8)[: len(dims) - 1], **COMMON
    ),
    'unet_shuffle': lambda dims: build_unet_head(
        in_channels=dims, decoder_channels=(16, 12, 8), upsample='pixel_shuffle', **COMMON
    ),
    'daformer': lambda dims: build_daformer_head(
        in_channels=dims, embed_dims=8, channels=8, **COMMON
    ),
}


def maps(dims, size=(75, 101)):
    height, width = size
    return [
        torch.randn(2, c, height // 2 ** (i + 2), width // 2 ** (i + 2), requires_grad=True)
        for i, c in enumerate(dims)
    ]


@pytest.mark.parametrize('arch', ARCH_ZOO)
@pytest.mark.parametrize('kind', HEADS)
def test_shapes_and_gradients(arch, kind):
    """Odd sizes at every scale; every map and every parameter gets a gradient."""
    dims = ARCH_ZOO[arch]['embed_dims']
    head, inputs = HEADS[kind](dims), maps(dims)
    scores = head(inputs)
    assert scores.shape == (2, 5, 75 // 4, 101 // 4)
    (scores**2).mean().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in inputs)
    assert [name for name, p in head.named_parameters() if p.grad is None] == []


def test_pixel_shuffle_puts_channels_into_positions():
    """Its enlargement is the 1x1 convolution's channels, four at a time, as 2 x 2 positions."""
    block = HEADS['unet_shuffle']([4, 6, 8, 10]).blocks[0]
    x = torch.randn(1, 10, 3, 2)
    wide = block.up[0](x)
    large = block.up(x)
    assert large.shape == (1, 10, 6, 4)
    torch.testing.assert_close(large[0, 3, 1::2, 0::2], wide[0, 3 * 4 + 2])


def test_two_scales():
    head = HEADS['unet']([8, 16])
    assert head(maps([8, 16])).shape == (2, 5, 18, 25)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(in_channels=[8]), 'two maps or more'),
        (dict(in_channels=[8, 8, 8]), 'one entry of decoder_channels less'),
        (dict(in_channels=[8, 8], decoder_channels=[4], upsample='nearest'), "got 'nearest'"),
        (dict(in_channels=[8, 8], decoder_channels=[4], channels=5), 'channels must be the last'),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        build_unet_head(**settings, **COMMON)


@pytest.mark.parametrize('kind', ['UNetHead', 'DAFormerHead'])
def test_trains_in_a_segmentor(kind):
    """Built by its registered name; one step lowers the loss on the same image."""
    init_default_scope('mmseg')
    dims = ARCH_ZOO['lite_tiny']['embed_dims']
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='mmseg.EncoderDecoder',
            backbone=dict(type='mmcoat.CoaT', arch='lite_tiny'),
            decode_head=dict(type=f'mmcoat.{kind}', in_channels=dims, **COMMON),
            train_cfg={},
            test_cfg=dict(mode='whole'),
        )
    )
    assert isinstance(model.backbone, CoaT)
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 5, (1, 64, 64)))
    image = torch.randn(2, 3, 64, 64)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    values = []
    for _ in range(4):
        loss = model.loss(image, [sample, sample])['decode.loss_ce']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]


def test_mask2former_under_sliding_windows():
    """An image larger than the window; one window over all of it gives what the whole image gives."""
    pytest.importorskip('mmdet')
    from mmseg.registry import MODELS as MMSEG_MODELS
    from mmseg.structures import SegDataSample

    from tests.helpers import load

    init_default_scope('mmseg')
    cfg = load('mask2former_coat_lite_s_ade20k.py').model
    cfg.backbone.init_cfg = None
    cfg.decode_head.num_queries = 5
    cfg.data_preprocessor.test_cfg = dict(size_divisor=32)
    torch.manual_seed(0)
    model = MMSEG_MODELS.build(cfg)
    model.init_weights()
    model.eval()
    sample = SegDataSample(metainfo=dict(img_shape=(64, 96), ori_shape=(64, 96)))
    image = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8)

    def scores(**test_cfg):
        model.test_cfg.update(test_cfg)
        with torch.no_grad():
            (result,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
        return result.seg_logits.data

    whole = scores(mode='whole')
    assert whole.shape == (150, 64, 96)
    torch.testing.assert_close(scores(mode='slide', crop_size=(64, 96), stride=(32, 32)), whole)
    windows = scores(mode='slide', crop_size=(64, 64), stride=(32, 32))
    assert windows.shape == whole.shape and windows.isfinite().all()
    assert not torch.equal(windows, whole)
