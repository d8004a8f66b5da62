"""The choice of contenders; a wrong or missing contender never gets a time."""

import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import contenders, peers
from benchmarks.bench import Benchmark
from benchmarks.cases import Grid, UnavailableError

from .common import CASE, CPU, GRID, measure, options


def test_parse_contenders():
    parse = contenders.parse_contender
    assert (parse('compiled').family, parse('compiled').compiled) == ('default', True)
    assert parse('timm-compiled-graph').graph
    assert parse('swin').is_coat is False
    with pytest.raises(ValueError, match="got 'tim'"):
        parse('tim')


def test_swin_takes_part_once():
    grid = Grid(('tiny', 'lite_small'), contenders=('default', 'swin', 'recompute'))
    names = [[c.name for c in contenders.contenders_of(grid, case)] for case in grid.cases()]
    assert names == [['default'], ['default', 'swin']]
    train = replace(grid, modes=('train',), archs=('tiny',))
    assert len(contenders.contenders_of(train, next(train.cases()))) == 3


def test_graphs_are_for_single_images():
    grid = Grid(sizes=('512@1,2',), contenders=('default', 'reference'), cuda_graph=True)
    names = [[c.name for c in contenders.contenders_of(grid, case)] for case in grid.cases()]
    assert names == [['default', 'reference', 'default-graph'], ['default', 'reference']]


def test_what_cannot_be_there_says_why(tmp_path):
    names = ('default', 'fused', 'default-graph', 'official')
    rows, _ = measure(tmp_path, replace(GRID, contenders=names))
    assert rows['default'].status == 'ok'
    for name, reason in (('fused', 'CUDA'), ('default-graph', 'CUDA'), ('official', '--official')):
        assert (rows[name].status, rows[name].samples) == ('unavailable', [])
        assert reason in rows[name].reason


def test_timm_takes_no_odd_sizes(monkeypatch):
    monkeypatch.setattr(peers, 'import_timm', lambda: None)
    with pytest.raises(UnavailableError, match='multiples of 32'):
        peers.build_timm('lite_tiny', (64, 70), {})


@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
def test_timm_with_our_weights(tmp_path, arch):
    try:
        peers.import_timm()
    except UnavailableError as error:
        pytest.skip(str(error))
    names = ('reference', 'default', 'timm')
    grid = replace(GRID, archs=(arch,), modes=('train',), contenders=names)
    results = Benchmark(options(tmp_path, grid), lambda _: None).run()
    assert [row.status for row in results.rows] == ['ok'] * 3
    for row in results.rows:
        assert row.difference['largest'] < 1e-3
        assert row.peak_bytes > 100_000


FAKE_OFFICIAL = """
    import torch
    from torch import nn
    from timm.models.registry import register_model
    from mmcoat import CoaT

    class Official(nn.Module):
        def __init__(self, return_interm_layers, out_features):
            super().__init__()
            self.model, self.names = CoaT('lite_tiny'), out_features
            assert return_interm_layers

        def load_state_dict(self, weights, strict):
            assert strict and 'serial_blocks1.0.cpe.proj.weight' in weights
            return self.model.load_state_dict(weights, strict=strict)

        def forward(self, x):
            return dict(zip(self.names, self.model(x)))

    @register_model
    def coat_lite_tiny(**kwargs):
        return Official(**kwargs)
"""


def write_checkout(root: Path, code: str) -> Path:
    path = root / peers.OFFICIAL_FILE
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(code))
    return root


def fake_timm(monkeypatch) -> None:
    """Replace timm by a package that has only a registry, which raises an error if it is used."""

    def refuse(function):
        raise AssertionError('the official models would replace those of timm')

    for name in ('timm', 'timm.models', 'timm.models.registry'):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    sys.modules['timm.models.registry'].register_model = refuse
    monkeypatch.setattr(peers, 'import_timm', lambda: sys.modules['timm'])


def test_official_checkout(tmp_path, monkeypatch):
    fake_timm(monkeypatch)
    root = write_checkout(tmp_path / 'checkout', FAKE_OFFICIAL)
    rows, _ = measure(tmp_path, replace(GRID, contenders=('official',)), official=root)
    assert rows['official'].status == 'ok', rows['official'].reason
    with pytest.raises(UnavailableError, match='no coat_lite_mini'):
        peers.build_official('lite_mini', root, {})


def test_no_official_checkout(tmp_path, monkeypatch):
    fake_timm(monkeypatch)
    with pytest.raises(UnavailableError, match='is not a checkout'):
        peers.import_official(tmp_path)
    root = write_checkout(tmp_path / 'broken', 'import package_that_nobody_has')
    with pytest.raises(UnavailableError, match='package_that_nobody_has'):
        peers.import_official(root)


@pytest.mark.parametrize(
    ('mode', 'names'), [('inference', ('default',)), ('train', ('default', 'swin'))]
)
def test_a_segmentor(tmp_path, mode, names):
    pytest.importorskip('mmseg.models')
    grid = replace(GRID, model='upernet', sizes=('64@2',), modes=(mode,), contenders=names)
    rows, _ = measure(tmp_path, grid)
    assert {name: r.status for name, r in rows.items()} == dict.fromkeys(names, 'ok'), rows
    assert rows['default'].difference['largest'] < 1e-3
    assert rows['default'].parameters > 20e6


def test_a_detector_always_finds_the_same():
    pytest.importorskip('mmdet.models')
    pytest.importorskip('mmcv._ext')
    from benchmarks.whole_models import WholeStep, build_around

    case = replace(CASE, model='mask_rcnn')
    found = []
    for seed in (0, 1):
        backbone = contenders.build_coat(arch='lite_tiny').eval()
        contenders.fill(backbone, seed)
        step = WholeStep(build_around(case, backbone, is_swin=False), case, CPU)
        with torch.no_grad():
            found.append(step.forward()[0].pred_instances)
    assert len(found[0].bboxes) > 10
    assert torch.equal(found[0].bboxes, found[1].bboxes)
