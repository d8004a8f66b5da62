"""Label maps group by group: the labels of MMSegmentation's whole map exactly, in less memory."""

import copy
import itertools
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict

from benchmarks.memory import peak_memory
from mmcoat.apis import label_maps
from mmcoat.apis.fast import ready
from mmcoat.apis.label_maps import is_segmentor, spare_memory
from mmcoat.errors import UsageError

pytest.importorskip('mmseg')


def segmentor(classes=150, align_corners=False, test_cfg=None, channels=8):
    """A segmentor whose scores are random, an eighth as large as the image, and lie as the image lies."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope('mmseg')
    torch.manual_seed(0)
    head = dict(
        type='FCNHead',
        in_channels=channels,
        channels=channels,
        in_index=0,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=classes,
        align_corners=align_corners,
    )
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='mmcoat.CoaT', arch='lite_tiny', out_indices=(1,)),
            decode_head=head | dict(in_channels=128, channels=128),
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
        )
    )
    for parameter in model.decode_head.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    return model.eval().requires_grad_(False)


def samples(count, ori=(90, 70), **more):
    from mmseg.structures import SegDataSample

    # as SegDataPreProcessor leaves them: padded at the right and below
    sizes = dict(ori_shape=ori, img_shape=(64, 60), pad_shape=(64, 64), padding_size=[0, 4, 0, 0])
    return [SegDataSample(metainfo=sizes | more) for _ in range(count)]


def labels(model, x, found):
    return [s.pred_sem_seg.data for s in model(x, found, mode='predict')]


@pytest.mark.parametrize('threads', [1, 2])
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_groups_are_enlarged_as_the_whole_map_is(dtype, channels_last, threads):
    """Bit by bit, whatever number of classes the last group has: the library rounds in several ways."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    try:
        for classes in [*range(4, 45), *range(63, 70), 150]:
            scores = torch.randn(2, classes, 8, 8, generator=torch.Generator().manual_seed(classes))
            scores = scores.to(dtype).contiguous(memory_format=layout)
            for size, align in itertools.product([(64, 60), (90, 70)], [False, True]):
                enlarge = partial(F.interpolate, size=size, mode='bilinear', align_corners=align)
                parts = [enlarge(group) for group in label_maps._groups(scores)]
                assert len(parts) > 1 or classes < 20
                assert torch.equal(torch.cat(parts, 1), enlarge(scores)), (classes, size, align)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize('classes', [2, 9, 11, 17, 35, 150, 300])
@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
@pytest.mark.parametrize('align_corners', [False, True])
def test_labels_are_those_of_the_whole_map(classes, dtype, align_corners):
    model, x = segmentor(classes, align_corners), torch.randn(2, 3, 64, 64)
    sparing = spare_memory(copy.deepcopy(model))
    with torch.autocast('cpu', dtype or torch.bfloat16, enabled=dtype is not None):
        expected, found = labels(model, x, samples(2)), labels(sparing, x, samples(2))
        alone = [s.pred_sem_seg.data for s in sparing.predict(x)]
    assert expected[0].shape == (1, 90, 70) and expected[0].unique().numel() > 1
    for ours, right in zip(found, expected, strict=True):
        assert ours.dtype == right.dtype and torch.equal(ours, right)
    assert alone[0].shape == (1, 64, 64)


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('classes', [2, 16, 17, 33, 65, 150])
def test_ties_and_layouts(classes, channels_last):
    """Whole numbers: many classes are equally good, and the first must win."""
    model = segmentor(classes)
    sparing = spare_memory(copy.deepcopy(model))
    scores = torch.randint(-3, 4, (1, classes, 8, 8)).float()
    scores[..., :4] += torch.rand(scores[..., :4].shape)
    if channels_last:
        scores = scores.contiguous(memory_format=torch.channels_last)
    for one in (model, sparing):
        one.decode_head.forward = lambda maps: scores
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(labels(sparing, x, samples(1))[0], labels(model, x, samples(1))[0])


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_shortcuts_return_what_the_library_returns(dtype):
    scores = torch.randint(-3, 4, (1, 9, 16, 12)).to(dtype)  # ties
    scores[0, 5, :2] = torch.nan
    enlarge = partial(F.interpolate, mode='bilinear', align_corners=False)
    best, same = scores.argmax(dim=1, keepdim=True), enlarge(scores[:, :5], (16, 12))
    with label_maps._Shortcuts():
        assert torch.equal(scores.argmax(dim=1, keepdim=True), best)
        assert torch.equal(enlarge(scores[:, :5], size=[16, 12]), same)
        assert enlarge(scores, (16, 13)).shape == (1, 9, 16, 13)
        assert enlarge(scores, 16).shape == (1, 9, 16, 16)
        assert enlarge(scores, scale_factor=2.0).shape == (1, 9, 32, 24)


@pytest.mark.parametrize(
    'more', [dict(flip=True, flip_direction='horizontal'), dict(ori_shape=(31, 203))]
)
def test_flips_and_sizes(more):
    model, x = segmentor(19), torch.randn(1, 3, 64, 64)
    sparing = spare_memory(copy.deepcopy(model))
    assert torch.equal(
        labels(sparing, x, samples(1, **more))[0], labels(model, x, samples(1, **more))[0]
    )


def test_slide_inference():
    model = segmentor(19, test_cfg=dict(mode='slide', crop_size=(48, 48), stride=(32, 32)))
    sparing, x = spare_memory(copy.deepcopy(model)), torch.randn(1, 3, 64, 64)
    assert torch.equal(labels(sparing, x, samples(1))[0], labels(model, x, samples(1))[0])


def test_one_score_for_two_classes_stays():
    model = segmentor(2)
    model.decode_head.conv_seg = torch.nn.Conv2d(128, 1, 1)
    model.decode_head.out_channels, model.decode_head.threshold = 1, 0.3
    sparing, x = spare_memory(copy.deepcopy(model)), torch.randn(1, 3, 64, 64)
    assert torch.equal(labels(sparing, x, samples(1))[0], labels(model, x, samples(1))[0])


def test_memory_of_the_groups():
    """The whole way makes two maps of 150 scores, in the size of the network's input and of the image."""
    model, x = segmentor(150), torch.randn(1, 3, 64, 64)
    sparing = spare_memory(copy.deepcopy(model))
    sizes = dict(ori=(256, 256), pad_shape=(256, 256), padding_size=[0] * 4)
    whole, groups = (
        peak_memory(lambda m=m: labels(m, x, samples(1, **sizes)), torch.device('cpu'))
        for m in (model, sparing)
    )
    assert whole > 300 * 4 * 256**2
    assert groups < 0.1 * whole  # two maps of 8 scores, one of labels and one of the best


def test_others_stay_as_they_are():
    model = torch.nn.Linear(2, 2)
    assert not is_segmentor(model) and is_segmentor(segmentor())
    assert ready(model, 'fp32', prepare=False, sparing=False) is model
    with pytest.raises(UsageError, match='not for Linear'):
        ready(model, 'fp32', prepare=False, sparing=True)


def test_a_prepared_model_spares_memory_too():
    model, x = segmentor(19), torch.randn(1, 3, 64, 64)
    expected = labels(model, x, samples(1))[0]
    fast = ready(model, 'fp32', prepare=True, sparing=True)
    # the model itself stays as it is
    assert 'seg_logits' in model(x, samples(1), mode='predict')[0]
    found = fast(x, samples(1), mode='predict')[0]
    assert torch.equal(found.pred_sem_seg.data, expected)
    assert 'seg_logits' not in found


def test_other_models_are_refused():
    with pytest.raises(UsageError, match='segmentors'):
        spare_memory(torch.nn.Linear(2, 2))
