"""Best and worst images: scores by hand, the order, pictures that show what was found."""

import csv
import json
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mmcoat import runs
from mmcoat.analysis import detected, panels, predictions, ranking, segmented
from mmcoat.errors import UsageError
from tests.analysis.common import SMALL, answer_the_truth, detector, load_small, save_random
from tests.helpers import ROOT, run_tool
from tests.own.common import CLASSES, draw, segmentation_config

pytest.importorskip('mmseg')
TOOL = 'analyze_results'
IMAGE, RED = np.zeros((8, 8, 3), np.uint8), (255, 0, 0)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranking')
    root = draw(folder / 'data')
    for name in 'cd':  # c: a copy of a; d: nothing is labelled
        for kind, suffix in (('images', 'jpg'), ('annotations', 'png')):
            split = root / kind / 'validation'
            shutil.copy(split / f'a.{suffix}', split / f'{name}.{suffix}')
    cv2.imwrite(str(root / 'annotations/validation/d.png'), np.zeros((64, 64), np.uint8))
    path = segmentation_config(folder / 'mine.py', root)
    weights = save_random(runs.load_config(str(path)), folder / 'weights.pth')
    return folder, path, weights


def test_tool(monkeypatch, capsys, work, tmp_path):
    _, path, weights = work
    out = tmp_path / 'results'
    arguments = [TOOL, path, weights, '--out-dir', out, '--device', 'cpu', '--split', 'val']
    assert run_tool(monkeypatch, *arguments, '--number', 2, '--sort', 'loss') == 0
    shown = capsys.readouterr()
    assert '1 images have nothing to be judged by' in shown.err
    rows = json.loads((out / 'scores.json').read_text())
    with (out / 'scores.csv').open() as file:
        table = list(csv.DictReader(file))
    assert [row['image'][-5:] for row in table] == ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg']
    assert [row['loss'] for row in rows[:1]] == [rows[2]['loss']]
    assert float(table[1]['iou']) == rows[1]['iou'] == np.mean(list(rows[1]['classes'].values()))
    assert rows[3]['iou'] is None and rows[3]['pixels'] == 0 and table[3]['loss'] == ''
    assert set(rows[0]['classes']) <= set(CLASSES)
    # of equals the first image counts
    better = 'ac' if rows[0]['loss'] < rows[1]['loss'] else 'ba'
    worse = 'ba' if rows[0]['loss'] < rows[1]['loss'] else 'ac'
    for kind, names in (('best', better), ('worst', worse)):
        files = sorted(file.name for file in (out / kind).iterdir())
        assert files == [f'01_{names[0]}.png', f'02_{names[1]}.png']
        assert f'{kind} 1. {names[0]}.jpg: loss' in shown.out
        assert Image.open(out / f'{kind}.jpg').size[1] > 2 * panels.SHEET_SIDE
    assert run_tool(monkeypatch, *arguments) == 2
    assert f'--out-dir {out} is not empty' in capsys.readouterr().err


def test_scores_of_an_image(work):
    cfg = runs.load_config(str(work[1]))
    found = predictions.Predictions(cfg, str(work[2]), 'val', 'cpu')
    seen = next(iter(found))
    row, case = segmented.score(seen, found)
    truth = seen.sample.gt_sem_seg.data[0].long()
    answer = seen.sample.pred_sem_seg.data[0]
    valid = truth != 255
    assert row['accuracy'] == pytest.approx((truth == answer)[valid].float().mean().item())
    logits = seen.sample.seg_logits.data
    loss = F.cross_entropy(logits.permute(1, 2, 0)[valid], truth[valid])
    assert row['loss'] == pytest.approx(loss.item(), rel=1e-4)
    assert row['pixels'] == valid.sum() == 64 * 48
    # the picture is the file's, in RGB
    path = str(work[0] / 'data' / 'images' / 'validation' / 'a.jpg')
    assert np.array_equal(case.picture, cv2.imread(path)[..., ::-1])
    tiles = case.tiles(64)
    assert [tile.title.split(':')[0] for tile in tiles] == [
        'image',
        'label',
        'prediction',
        'errors',
    ]
    red = (tiles[3].image == panels.WRONG).all(2)
    assert np.array_equal(red & valid.numpy(), ((truth != answer) & valid).numpy())
    assert (tiles[3].image[~valid.numpy()] == 255).all()
    assert case.legend()[-1] == ('no label', panels.NO_LABEL)
    drawn = panels.draw(case, 'caption', 64)
    assert drawn.shape[1] >= 4 * 64 and drawn.shape[0] > 64


def test_ends_and_ties():
    found = ranking.Ranking(2, 'iou', True)
    for name, value in zip('abcde', (0.5, 0.9, 0.5, None, 0.1), strict=True):
        found.add(dict(image=name, iou=value), None)
    assert [one.row['image'] for one in found.end('best')] == ['b', 'a']
    assert [one.row['image'] for one in found.end('worst')] == ['e', 'a']
    assert found.unranked == 1
    alone = ranking.Ranking(9, 'loss', False)
    alone.add(dict(image='a', loss=2.0), None)
    alone.add(dict(image='b', loss=1.0), None)
    assert [one.row['image'] for one in alone.end('best')] == ['b', 'a']


def test_which_heads_give_logits():
    from mmseg.models.decode_heads import FPNHead

    from mmcoat.models.decode_heads.unet_head import UNetHead

    heads = [FPNHead, UNetHead]
    assert all(segmented.has_logits(SimpleNamespace(decode_head=h.__new__(h))) for h in heads)
    mask2former = pytest.importorskip('mmcoat.models.decode_heads.mask2former_head').Mask2FormerHead
    model = SimpleNamespace(decode_head=mask2former.__new__(mask2former))
    assert not segmented.has_logits(model)
    with pytest.raises(UsageError, match='--sort loss needs logits'):
        ranking.choose_sort(SimpleNamespace(task='segmentation', model=model), 'loss')


def test_a_sheet_names_each_class_once_and_errors_last(monkeypatch):
    drawn = []
    monkeypatch.setattr(panels, 'strip', lambda entries, width: drawn.append(entries) or IMAGE)
    cases = [
        SimpleNamespace(tiles=lambda side: [panels.Tile('x', IMAGE)], legend=lambda e=e: e)
        for e in ([('sky  0.10', RED), ('wrong', RED)], [('car  0.20', RED), ('sky  0.90', RED)])
    ]
    panels.sheet(cases, ['1', '2'])
    assert [name for name, _ in drawn[-1]] == ['sky', 'car', 'wrong']


def test_loss_of_one_mask():
    """MMSegmentation hands out probabilities there, not logits."""
    chance = torch.tensor([[[0.9, 0.2, 0.5]]])
    truth = np.array([[1, 0, 255]])
    expected = -(np.log(0.9) + np.log(0.8)) / 2
    assert segmented._loss(chance, truth, 255) == pytest.approx(expected)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--number', '0'], '--number must be 1 or more, got 0'),
        (['--score-thr', '2'], '--score-thr must be from 0 to 1, got 2.0'),
        (['--sort', 'f1'], '--sort of segmentation takes iou, accuracy, loss, got f1'),
    ],
)
def test_errors(monkeypatch, capsys, work, tmp_path, arguments, message):
    _, path, weights = work
    shared = [TOOL, path, weights, '--out-dir', tmp_path / 'x', '--device', 'cpu']
    assert run_tool(monkeypatch, *shared, *arguments) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / 'x').exists()


def test_other_configs_are_refused(monkeypatch, capsys, tmp_path):
    for name, text in (
        ('unet_coat_lite_s_drive_multilabel', 'are judged one by one'),
        ('coat_lite_t_in1k', 'and the config is one of classification'),
    ):
        path = ROOT / 'configs' / f'{name}.py'
        assert run_tool(monkeypatch, TOOL, path, 'x.pth', '--out-dir', tmp_path / 'x') == 2
        assert text in capsys.readouterr().err


# ---------------------------------------------------------------------- detection


def objects(*rows):
    """Rows of x1, y1, x2, y2, label, score."""
    rows = np.array(rows, float).reshape(-1, 6)
    return detected.Objects(rows[:, :4], rows[:, 4].astype(int), rows[:, 5])


def test_matching():
    truth = objects((0, 0, 10, 10, 0, 1), (20, 0, 30, 10, 0, 1), (40, 0, 50, 10, 1, 1))
    crowd = objects((60, 0, 100, 40, 0, 1))
    found = objects(
        (0, 0, 10, 8, 0, 0.6),  # right, but a better one has its object
        (0, 0, 10, 10, 0, 0.9),  # right
        (40, 0, 50, 10, 0, 0.8),  # of another class
        (20, 0, 30, 4.9, 0, 0.7),  # an IoU of 0.49
        (70, 0, 80, 10, 0, 0.5),  # on the crowd
    )
    matches = detected.match(truth, found, crowd)
    assert matches.right.tolist() == [False, True, False, False, False]
    assert matches.counted.tolist() == [True, True, True, True, False]
    assert matches.met.tolist() == [True, False, False]
    assert matches.iou == 1.0
    assert matches.f1() == 2 / (2 + 3 + 2)
    nothing = objects()
    assert detected.match(nothing, nothing, nothing).f1() is None
    assert detected.match(truth, nothing, crowd).f1() == 0
    assert detected.match(nothing, objects((0, 0, 1, 1, 0, 1)), nothing).f1() == 0
    closer = objects((0, 0, 10, 10, 0, 1), (0, 0, 10, 9, 0, 1))
    assert detected.match(closer, objects((0, 0, 10, 9, 0, 1)), nothing).met.tolist() == [
        False,
        True,
    ]


def test_detector(monkeypatch, tmp_path):
    pytest.importorskip('mmdet')
    path, weights = detector(tmp_path)
    truth = predictions.Predictions(load_small(path), None)
    count = sum(len(seen.sample.gt_instances) for seen in truth)
    answer_the_truth(monkeypatch, shift=1.0, false=True)
    arguments = [TOOL, path, weights, '--device', 'cpu', '--number', 2]
    arguments += ['--cfg-options', f'{SMALL}=(96,64)']
    assert run_tool(monkeypatch, *arguments, '--out-dir', tmp_path / 'one') == 0
    rows = json.loads((tmp_path / 'one' / 'scores.json').read_text())
    assert sum(row['objects'] for row in rows) == count > 4
    for row in rows:
        assert (row['right'], row['false'], row['missed']) == (row['objects'], 1, 0)
        assert row['f1'] == pytest.approx(2 * row['right'] / (2 * row['right'] + 1))
    assert len(list((tmp_path / 'one' / 'worst').glob('*.png'))) == 2
    again = ['--out-dir', tmp_path / 'two', '--score-thr', '0.5']
    assert run_tool(monkeypatch, *arguments, *again) == 0
    rows = json.loads((tmp_path / 'two' / 'scores.json').read_text())
    assert {row['f1'] for row in rows} <= {1.0, None}
    shown = Image.open(next((tmp_path / 'one' / 'worst').glob('01_*.png'))).convert('RGB')
    colours = {tuple(c) for c in np.unique(np.asarray(shown).reshape(-1, 3), axis=0)}
    assert {panels.RIGHT, panels.WRONG} <= colours


def test_a_detector_computes(tmp_path):
    """With the model's own answers: what the toolbox gives is what is scored."""
    pytest.importorskip('mmdet')
    path, weights = detector(tmp_path)
    found = predictions.Predictions(load_small(path), str(weights), device='cpu')
    ranked = ranking.rank(found, 1, score_thr=0.0)
    assert len(ranked.rows) == 4 and {row['f1'] is None for row in ranked.rows} == {False}
    for row in ranked.rows:
        assert row['right'] + row['false'] <= 5 and row['right'] + row['missed'] == row['objects']
