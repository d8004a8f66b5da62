"""Parameters and FLOPs: the paper's figures, an independent count by tracing, and whole models."""

import pytest
import torch

from mmcoat import ARCH_ZOO, CoaT
from mmcoat.analysis import flops
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
@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
def test_an_independent_count(arch, shape):
    """PyTorch's counter sees convolutions and matrix products as they run, in a forward without fusion."""
    from torch.utils.flop_counter import FlopCounterMode

    model = CoaT(arch).eval().set_backend('reference')  # oneDNN's operator hides its products
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, *shape))
    seen = counter.get_total_flops() / 2  # it counts a multiplication and an addition as two
    rows = flops.count_coat(model, shape)
    # what it does not see: CRPE's product and the interpolation, both elementwise
    sizes = [tuple(map(int, row.output.split(' x '))) for row in rows[: model.num_stages]]
    elementwise = sum(
        c * h * w * depth
        for (c, h, w), depth in zip(sizes, model.arch_settings['serial_depths'], strict=True)
    )
    for stage in model.parallel_stages:
        c, h, w = sizes[stage]
        elementwise += len(model.parallel_blocks) * c * h * w * (1 + 2 * flops.BILINEAR_MACS)
    # PyTorch leaves out the class token's outer product in K^T V where it is elementwise
    assert total(rows)[1] - elementwise == pytest.approx(seen, rel=0.002)


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
    with pytest.raises(ValueError, match='no CoaT backbone'):
        flops.count_model(torch.nn.Linear(1, 1), (64, 64))


def test_tool(monkeypatch, capsys):
    assert run_tool(monkeypatch, 'get_flops', 'lite_small', '--shape', '224') == 0
    out = capsys.readouterr().out
    assert 'stage 4' in out
    assert out.strip().splitlines()[-1].split()[:3] == ['total', '19.839', '3.945']


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
