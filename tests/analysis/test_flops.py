"""Parameters and FLOPs: the paper's figures, a count by hand, and whole models."""

import sys

import pytest
import torch

from mmcoat import ARCH_ZOO, CoaT
from mmcoat.analysis import flops
from mmcoat.errors import UsageError
from tests.helpers import load, run_tool

# parameters (M) and GMACs at 224 x 224 in the paper
PAPER = {
    'lite_tiny': (5.72, 1.6),
    'lite_mini': (11.01, 2.0),
    'lite_small': (19.84, 4.0),
    'lite_medium': (44.57, 9.8),
    'tiny': (5.50, 4.4),
    'mini': (10.34, 6.8),
    'small': (21.69, 12.6),
}


def total(rows) -> tuple[int, int]:
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


@pytest.mark.parametrize('arch', PAPER)
def test_the_paper(arch):
    parameters, macs = total(flops.count_arch(arch))
    assert f'{parameters / 1e6:.2f}' == f'{PAPER[arch][0]:.2f}'
    assert macs / 1e9 == pytest.approx(PAPER[arch][1], rel=0.02)


def test_every_arch_is_compared():
    assert set(PAPER) == set(ARCH_ZOO)


@pytest.mark.parametrize('shape', [(64, 64), (70, 100)])
def test_a_stage_by_hand(shape):
    """Convolutions and products of the first stage of Lite Tiny: 64 channels, 2 blocks, 8 heads."""
    row = flops.count_coat(CoaT('lite_tiny'), shape)[0]
    pixels, c = (shape[0] // 4) * (shape[1] // 4), 64
    tokens = pixels + 1  # with the class token
    ratio = CoaT('lite_tiny').arch_settings['mlp_ratios'][0]
    block = (4 + 2 * ratio) * c * c * tokens
    block += 2 * tokens * c * (c // 8)  # the two products of the attention
    block += pixels * (c * 9 + 16 * 9 + 24 * 25 + 24 * 49)  # both position encodings
    assert row.macs == pytest.approx(3 * 16 * c * pixels + 2 * block, rel=0.003)
    assert row.output == f'64 x {shape[0] // 4} x {shape[1] // 4}'


def test_every_product_has_a_row():
    model = CoaT('tiny', out_type='cls_token')
    rows = {row.name: row.macs for row in flops.count_coat(model, (64, 64))}
    assert rows.keys() >= {'stage 4', 'parallel blocks', 'class embedding'}
    assert all(macs > 0 for macs in rows.values())
    assert rows['class embedding'] == 3 * 152  # three scales, one weight each


def test_the_model_stays_as_it_is():
    model = CoaT('lite_tiny').train()
    flops.count_coat(model, (64, 64))
    assert model.training
    assert all(p.requires_grad and p.device.type == 'cpu' for p in model.parameters())
    assert 'forward' not in vars(model.stages[0])
    assert model.stages[0].cpe.backend == 'auto'


def test_size_costs_no_time():
    rows = flops.count_coat(CoaT('lite_tiny'), (100_000, 100_000))
    assert rows[0].output == '64 x 25000 x 25000'


def test_parameters_are_the_models():
    for arch in ('lite_mini', 'mini'):
        model = CoaT(arch)
        rows = flops.count_coat(model, (64, 64))
        assert total(rows)[0] == sum(p.numel() for p in model.parameters())


def test_stages_that_do_not_run_cost_nothing():
    rows = flops.count_coat(CoaT('lite_tiny', out_indices=(0, 1)), (64, 64))
    assert [row.macs > 0 for row in rows] == [True, True, False, False]


def test_scales_with_the_image():
    small, large = (total(flops.count_arch('lite_small', (n, n)))[1] for n in (224, 448))
    assert large == pytest.approx(
        4 * small, rel=0.01
    )  # linear in the pixels, which is the paper's point


def test_a_whole_model():
    mmseg = pytest.importorskip('mmseg.models')
    assert mmseg
    cfg = load('fpn_coat_lite_s_ade20k.py')
    shape, rows = flops.count_config(cfg, (64, 96))
    assert shape == (64, 96)
    named = {row.name: row for row in rows}
    # FPN at 64 x 96: four laterals (1 x 1) and four outputs (3 x 3), on maps of 16 x 24, 8 x 12...
    pixels = [16 * 24, 8 * 12, 4 * 6, 2 * 3]
    lateral = sum(n * c * 256 for n, c in zip(pixels, [64, 128, 320, 512], strict=True))
    output = sum(n * 9 * 256 * 256 for n in pixels)
    assert named['neck'].macs == pytest.approx(lateral + output, rel=0.01)
    assert named['stage 1'].parameters == rows[0].parameters > 0


def test_other_backbones_are_refused():
    with pytest.raises(ValueError, match='must be a CoaT'):
        flops.count_model(torch.nn.Linear(1, 1), (64, 64))


def test_a_detector():
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmcv._ext')
    cfg = load('mask_rcnn_coat_lite_s_1x_coco.py')
    _, rows = flops.count_config(cfg, (64, 96))
    named = {row.name: row.macs for row in rows}
    assert named['neck'] > 0 and named['rpn head'] > 0 and named['roi head'] > 0


def test_a_segmentor_whose_head_reads_samples():
    """Mask2Former's head asks for the images' sizes, which MMSegmentation's 'tensor' mode does not give."""
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmcv._ext')
    cfg = load('mask2former_coat_lite_t_ade20k.py')
    _, rows = flops.count_config(cfg, (64, 96))
    named = {row.name: row.macs for row in rows}
    # ten times the masks of 100 queries of 256 channels, and the last convolution (3 x 3), at stride 4
    assert named['decode head'] > 16 * 24 * (10 * 100 * 256 + 9 * 256 * 256)
    assert named['stage 1'] > 0


def test_a_large_image_of_a_detector_is_refused():
    cfg = load('mask_rcnn_coat_lite_s_1x_coco.py')
    with pytest.raises(ValueError, match='at most 4194304 pixels'):
        flops.count_config(cfg, (100_000, 100_000))


def test_a_toolbox_that_is_not_there(monkeypatch):
    cfg = load('mask_rcnn_coat_lite_s_1x_coco.py')
    monkeypatch.setitem(sys.modules, 'mmdet', None)
    monkeypatch.setitem(sys.modules, 'mmdet.models', None)
    with pytest.raises(UsageError, match='needs MMDetection'):
        flops.count_config(cfg)


def test_tool(monkeypatch, capsys):
    assert run_tool(monkeypatch, 'get_flops', 'lite_small', '--shape', '224') == 0
    out = capsys.readouterr().out
    assert 'stage 4' in out
    assert out.strip().splitlines()[-1].split()[:3] == ['total', '19.839', '3.943']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['lite_huge'], 'does not exist'),
        (['tiny', '--shape', '8', '8'], 'at least 32 x 32'),
        (['tiny', '--shape', '1', '2', '3'], 'one or two'),
    ],
)
def test_tool_errors(arguments, message, monkeypatch, capsys):
    assert run_tool(monkeypatch, 'get_flops', *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
