"""tools/benchmark_programs.py: its scores are those of tools/test.py; its errors grow as precision falls."""

import json

import pytest

pytest.importorskip('onnxruntime')
pytest.importorskip('openvino')
pytest.importorskip('matplotlib')
pytest.importorskip('mmseg')
from mmcoat.datasets.synthetic import make_ade20k
from tests.export.common import segmentor, weights
from tests.helpers import run_tool


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A small segmentor with random weights, and drawn data."""
    folder = tmp_path_factory.mktemp('programs')
    make_ade20k(folder / 'data', train=3, val=4, size=(96, 64))
    cfg = segmentor('fpn')
    cfg.model.decode_head.num_classes = 150
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
        cfg[f'{split}_dataloader'].dataset.data_root = str(folder / 'data')
    cfg.test_dataloader.dataset.pipeline[1].scale = (96, 64)
    cfg.test_evaluator = dict(type='mmcoat.PresentClassIoU', iou_metrics=['mIoU'])
    cfg.dump(folder / 'small.py')
    weights(cfg, folder / 'a.pth')
    return folder


def benchmark(monkeypatch, folder, *more):
    source = [folder / 'small.py', folder / 'a.pth', '--out', folder / 'out']
    return run_tool(monkeypatch, 'benchmark_programs', *source, '--repeats', 1, *more)


def test_scores_errors_and_report(monkeypatch, folder, capsys):
    names = ['torch-bf16', 'prepared-fp32', 'onnx-fp32', 'onnx-int8', 'openvino-fp32']
    more = ['--calibration', folder / 'data/images/training', '--shape', 64, 96]
    assert benchmark(monkeypatch, folder, '--programs', *names, *more) == 0
    told = capsys.readouterr().out
    out = folder / 'out'
    rows = {row['program']: row for row in json.loads((out / 'programs.json').read_text())['rows']}
    assert list(rows) == ['torch-fp32', *names]
    # the reference's score is that of tools/test.py
    arguments = [folder / 'small.py', folder / 'a.pth', '--work-dir', folder / 'test']
    assert run_tool(monkeypatch, 'test', *arguments) == 0
    (path,) = (folder / 'test').glob('*/*.json')
    expected = json.loads(path.read_text())['mIoU_present']
    assert rows['torch-fp32']['miou'] == pytest.approx(expected, abs=0.006)
    assert expected > 0
    for name in ('prepared-fp32', 'onnx-fp32', 'openvino-fp32'):
        assert rows[name]['equal'] > 99.9 and rows[name]['error'] < 1e-3
        assert rows[name]['miou'] == pytest.approx(rows['torch-fp32']['miou'], abs=0.05)
    for name in ('torch-bf16', 'onnx-int8'):
        assert 50 < rows[name]['equal'] < 100
        assert rows[name]['error'] > 10 * rows['onnx-fp32']['error']
    assert all(row['ms'] > 0 for row in rows.values())
    row = rows['onnx-int8']
    line = f'| onnx-int8 | {row["miou"]:.2f} | {row["equal"]:.3f} % | {row["error"]:.1e} | {row["ms"]:.0f} |'
    assert line in told and line in (out / 'programs.md').read_text()
    assert sorted(p.name for p in out.glob('*.onnx')) == ['onnx_fp32.onnx', 'onnx_int8.onnx']


@pytest.mark.parametrize(
    'more, told',
    [
        (['--programs', 'onnx-int8'], 'int8 needs --calibration DIR'),
        (['--images', 0], '--images must be at least 1, got 0'),
        (['--shape', 0, 64], '--shape must be two whole numbers from 1, got [0, 64]'),
        (['--calibration', 'nowhere', '--programs', 'onnx-int8'], 'nowhere'),
    ],
)
def test_bad_input(monkeypatch, folder, capsys, more, told):
    assert benchmark(monkeypatch, folder, *more) == 2
    error = capsys.readouterr().err.strip()
    assert told in error and '\n' not in error


def test_options_that_would_do_nothing(monkeypatch, folder, capsys):
    assert benchmark(monkeypatch, folder, '--compile') == 2
    assert 'unrecognized arguments: --compile' in capsys.readouterr().err
