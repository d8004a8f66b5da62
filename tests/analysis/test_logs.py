"""Training logs: joined after a resume, read despite broken lines, smoothed, drawn."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from mmcoat.analysis import curves, logs
from tests.helpers import run_tool


def write(folder, start, rows):
    path = folder / start / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text('\n'.join(lines) + '\n')
    return path


def training(step, loss, **more):
    return dict(lr=0.1, loss=loss, time=0.5, iter=step, step=step, **more)


def validation(step, miou):
    return dict(mIoU=miou, time=9.0, data_time=1.0, step=step)


@pytest.fixture
def work(tmp_path):
    """A run that was saved at iteration 20, stopped after 40, and resumed from 20."""
    folder = tmp_path / 'first'
    first = [training(10, 4.0), training(20, 3.0), validation(20, 30.0)]
    first += [training(30, 99.0), training(40, 99.0), '{"loss": 1.0, "st']
    write(folder, '20260101_000000', first)
    second = [training(30, 2.0), 'null', training(40, 1.0), validation(40, 50.0)]
    write(folder, '20260102_000000', second)
    return folder


def test_a_resumed_run_is_joined(work):
    run = logs.read_run(work)
    assert run.curves['loss'].steps == [10, 20, 30, 40]
    assert run.curves['loss'].values == [4, 3, 2, 1]
    assert run.curves['mIoU'].steps == [20, 40]
    assert (run.broken, run.replaced, run.iterations) == (2, 2, 40)
    assert run.curves['loss'].noisy and not run.curves['lr'].noisy
    assert run.seconds_per_iteration() == 0.5  # without the validations' 9


def test_one_log_of_several(work):
    run = logs.read_run(work / '20260101_000000')
    assert run.curves['loss'].values[-1] == 99
    path = work / '20260102_000000' / 'vis_data' / 'scalars.json'
    assert logs.read_run(path).name == str(path)


def test_validations_of_epochs_stand_at_iterations(tmp_path):
    rows = [training(7, 2.0, epoch=1), training(14, 1.5, epoch=1)]
    rows += [{'coco/bbox_mAP': 0.1, 'step': 1}, training(28, 1.0, epoch=2)]
    rows += [{'coco/bbox_mAP': 0.2, 'step': 2}, {'coco/bbox_mAP': 0.3, 'step': 0}]
    write(tmp_path, 'a', rows)
    run = logs.read_run(tmp_path)
    assert run.curves['coco/bbox_mAP'].steps == [14, 28, 28]
    assert logs.choose_keys([run], None) == ['loss', 'coco/bbox_mAP']
    assert logs.choose_keys([run], ['bbox_mAP']) == ['coco/bbox_mAP']


def test_smoothing():
    curve = logs.Curve([1, 2, 3, 4], [5.0, 5.0, math.nan, 9.0])
    assert curve.smoothed(0.5)[:3] == pytest.approx([5, 5, 5])
    assert curve.smoothed(0.5)[3] == pytest.approx((5 / 4 + 5 / 2 + 9) / (1 / 4 + 1 / 2 + 1))
    assert np.array_equal(curve.smoothed(0), curve.values, equal_nan=True)
    assert logs.Curve([1, 2], [1.0, 9.0], validation=True).smoothed(0.9).tolist() == [1, 9]
    assert logs.Curve([1, 2], [1.0, 9.0], noisy=False).smoothed(0.9).tolist() == [1, 9]
    short, long = (logs.Curve(list(range(n)), [0.0] * (n - 1) + [1.0]) for n in (15, 500))
    assert short.smoothed(None)[-1] == 1
    assert long.smoothed(None)[-1] == pytest.approx(0.1)


def test_what_is_best():
    rising, falling = [1.0, 3.0, 2.0], [3.0, 1.0, 2.0]
    assert logs.find_best('mIoU', logs.Curve([1, 2, 3], rising), 0) == (3.0, 2)
    assert logs.find_best('decode.loss_ce', logs.Curve([1, 2, 3], falling), 0) == (1.0, 2)
    assert logs.find_best('lr', logs.Curve([1, 2, 3], rising), 0) is None
    assert logs.find_best('loss', logs.Curve([1], [math.nan]), 0.9) is None


def test_tool(monkeypatch, capsys, work, tmp_path):
    other = tmp_path / 'more' / 'first'
    write(other, '20260103_000000', [training(10, math.nan), training(20, 3.5)])
    out = tmp_path / 'figures' / 'curves.png'
    arguments = ['analyze_logs', work, other, '--keys', 'loss', 'mIoU', '--smooth', '0']
    assert run_tool(monkeypatch, *arguments, '--out', out) == 0
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[1] == [str(work), 'loss', '1', '1', '40', '40', '0.5']
    assert lines[2] == [str(work), 'mIoU', '50', '50', '40', '40', '0.5']
    assert lines[3] == [str(other), 'loss', '3.5', '3.5', '20', '20', '0.5']
    for note in ('2 broken lines', '2 lines left out', 'no mIoU', '1 of 2 loss are not finite'):
        assert note in shown.err
    picture = np.asarray(Image.open(out).convert('RGB'))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    assert run_tool(monkeypatch, *arguments, '--json') == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[1]['best'] == 50 and rows[0]['replaced_lines'] == 2


def test_panels_and_names(work):
    run = logs.read_run(work)
    figure = curves.draw([run], ['loss', 'mIoU', 'lr', 'time'], 0.9)
    assert [a.get_title() for a in figure.axes[:4]] == ['loss', 'mIoU', 'lr', 'time']
    (points,) = figure.axes[1].lines
    assert points.get_ydata().tolist() == [30, 50]
    assert [text.get_text() for text in figure.legends[0].texts] == ['first']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['{work}', '--keys', 'mAP'], "no run has a value 'mAP'; there are loss, lr, mIoU, time"),
        (['{work}/none'], 'does not exist'),
        (['{work}/..'], 'holds no log'),
        (['{work}', '--smooth', '1'], '--smooth must be from 0 to below 1'),
        (['{work}', '--out', 'curves.bmp'], 'pictures end in one of'),
        (['{work}/empty'], 'no training or validation line'),
    ],
)
def test_errors(monkeypatch, capsys, work, arguments, message):
    write(work / 'empty', 'a', ['', '[]', 'x'])
    arguments = [argument.replace('{work}', str(work)) for argument in arguments]
    assert run_tool(monkeypatch, 'analyze_logs', *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
