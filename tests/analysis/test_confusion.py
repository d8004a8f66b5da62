"""The confusion matrix: equal to MMSegmentation's evaluation, whatever the labels begin with."""

import json
import logging
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from mmcoat import runs
from mmcoat.analysis import confusion, confusion_views, predictions
from mmcoat.apis import models
from mmcoat.datasets.labels import LabelError
from tests.analysis.common import save_random
from tests.helpers import ROOT, run_tool
from tests.own.common import CLASSES, draw, segmentation_config

pytest.importorskip('mmseg')
TOOL = 'confusion_matrix'
CONFIGS = sorted(set((ROOT / 'configs').glob('*.py')) - set((ROOT / 'configs').glob('*_in1k.py')))


def config(folder, first=1, text=''):
    """Write data of which some is ignored, and a config; labels begin at ``first``."""
    root = draw(folder / 'data', first=first)
    return segmentation_config(
        folder / 'mine.py', root, f'reduce_zero_label = {bool(first)}\n{text}'
    )


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp('confusion')
    path = config(folder)
    weights = save_random(runs.load_config(str(path)), folder / 'weights.pth')
    return folder, path, weights


def evaluate(found, classes=CLASSES):
    """Return MMSegmentation's own IoU of each class and its summary, for the same answers."""
    from mmseg.evaluation import IoUMetric

    metric = IoUMetric()
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, [seen.sample.to_dict() for seen in found])
    areas = [sum(part) for part in zip(*metric.results, strict=True)]
    iou = metric.total_area_to_metrics(*areas)['IoU']
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    return iou, metric.compute_metrics(metric.results)


@pytest.mark.parametrize('first', [0, 1])
def test_equal_to_iou_metric(tmp_path, work, first):
    cfg = runs.load_config(str(config(tmp_path, first)))
    found = predictions.Predictions(cfg, str(work[2]), 'val', 'cpu')
    ours = confusion.measure(found)
    iou, summary = evaluate(found)
    assert (ours.matrix > 0).sum() >= 6  # several classes are predicted, or nothing is tested
    assert np.count_nonzero(np.isfinite(iou)) == 3
    np.testing.assert_allclose(ours.iou(), iou, rtol=1e-6)
    for name, value in summary.items():
        assert round(ours.summary()[name], 2) == pytest.approx(value, abs=0.0051)
    labelled = 2 * 64 * 64 * 3 // 4  # a quarter of each map is ignored
    assert (ours.matrix.sum(), ours.images) == (labelled, 2)


def test_labels_that_a_remap_would_ignore_are_refused(tmp_path):
    """ADE20KDataset would take own names for a selection of its classes; scores would mean nothing."""
    path = config(tmp_path, text="dataset_type = 'ADE20KDataset'")
    with pytest.raises(LabelError, match='ADE20KDataset has no class forest'):
        predictions.Predictions(runs.load_config(str(path)), None, 'val')


def test_counts():
    counts = confusion.Confusion(('a', 'b', 'c', 'd'))
    truth = np.array([[0, 0, 0, 0], [1, 1, 255, 255]])
    counts.add(truth, np.array([[0, 0, 0, 1], [1, 2, 0, 3]]), 255)
    assert counts.matrix.tolist() == [[3, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert counts.iou()[:3].tolist() == [3 / 4, 1 / 3, 0]
    assert np.isnan(counts.iou()[3]) and np.isnan(counts.accuracy()[2])
    assert counts.precision()[:3].tolist() == [1, 1 / 2, 0]
    assert counts.summary()['aAcc'] == pytest.approx(100 * 4 / 6)
    assert counts.normalized()[0].tolist() == [0.75, 0.25, 0, 0]
    assert counts.normalized('prediction')[:, 1].tolist() == [0.5, 0.5, 0, 0]
    assert counts.confusions() == [
        confusion.Confused('a', 'b', 1, 0.25),
        confusion.Confused('b', 'c', 1, 0.5),
    ]
    assert confusion.Confusion(('a',)).as_dict()['mIoU'] is None


@pytest.mark.parametrize('count', [4, 150])
def test_picture_names_every_class(tmp_path, count):
    """Nothing overlaps: names keep the distance that their letters need."""
    names = tuple(f'class {i}' for i in range(count))
    counts = confusion.Confusion(names)
    labels = np.arange(count)[None].repeat(2, 0)
    counts.add(labels, np.maximum(labels - 1, 0), 255)
    figure = confusion_views.draw(counts)
    figure.savefig(tmp_path / 'matrix.png', dpi=110)
    panel = figure.axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == list(names)
    boxes = [label.get_window_extent() for label in panel.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(boxes))
    assert bool(panel.texts) == (count == 4)
    shape = np.asarray(Image.open(tmp_path / 'matrix.png')).shape
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes) and max(shape[:2]) < 3500


def test_tool_and_saved_predictions(monkeypatch, capsys, work, tmp_path):
    _, path, weights = work
    arguments = [TOOL, path, weights, '--device', 'cpu', '--split', 'val']
    files = ['--out', tmp_path / 'a' / 'matrix.png', '--json', tmp_path / 'b' / 'matrix.json']
    assert run_tool(monkeypatch, *arguments, *files) == 0
    shown = capsys.readouterr().out
    for text in (*CLASSES, 'the worst first', 'What is confused most', 'over 2 images'):
        assert text in shown
    written = json.loads((tmp_path / 'b' / 'matrix.json').read_text())
    rows = [line.split('│')[1].strip() for line in shown.splitlines() if '│' in line]
    worst_first = [row['name'] for row in sorted(written['classes'], key=lambda row: row['iou'])]
    assert rows[:3] == worst_first
    assert np.asarray(Image.open(tmp_path / 'a' / 'matrix.png').convert('RGB')).std() > 10

    out = tmp_path / 'maps'
    test = ['test', path, weights, '--out', out, '--work-dir', tmp_path / 'run']
    assert run_tool(monkeypatch, *test) == 0
    again = [TOOL, path, '--predictions', out, '--json', tmp_path / 'again.npz']
    assert run_tool(monkeypatch, *again) == 0
    saved = np.load(tmp_path / 'again.npz')
    assert saved['matrix'].tolist() == written['matrix']
    assert saved['classes'].tolist() == list(CLASSES)
    (out / 'b.png').unlink()
    capsys.readouterr()
    assert run_tool(monkeypatch, *again) == 2
    assert 'b.png: No such file' in capsys.readouterr().err


def test_a_label_that_is_no_class_names_its_image(monkeypatch, capsys, work, tmp_path):
    path = config(tmp_path)
    file = tmp_path / 'data' / 'annotations' / 'validation' / 'b.png'
    labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    labels[0, :5] = 9
    cv2.imwrite(str(file), labels)
    # past the check of the label maps, which sees samples only
    monkeypatch.setattr(predictions, 'check_labels', lambda *_: None)
    assert run_tool(monkeypatch, TOOL, path, work[2], '--device', 'cpu') == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'validation/b.jpg: its label map holds 8, the 3 classes are 0 to 2 (5 such' in error


def test_a_map_of_another_size(tmp_path, work):
    cfg = runs.load_config(str(config(tmp_path)))
    pipeline = cfg.val_dataloader.dataset.pipeline
    kinds = [step.type for step in pipeline]
    pipeline[1], pipeline[2] = pipeline[2], pipeline[1]
    assert {kinds[1], kinds[2]} == {'Resize', 'LoadAnnotations'}
    with pytest.raises(predictions.AnalysisError, match='put LoadAnnotations after Resize'):
        predictions.Predictions(cfg, None, 'val')
    with pytest.raises(predictions.AnalysisError, match='label map is 4 x 2 pixels, the predict'):
        confusion.Confusion(('a',)).add(np.zeros((2, 4), int), np.zeros((2, 3), int), 255, 'x.jpg')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['{mine}'], 'name a checkpoint, or --predictions FOLDER'),
        (['{mine}', 'x.pth', '--out', 'a.bmp'], 'pictures end in one of'),
        (['{mine}', 'x.pth', '--json', 'a.txt'], 'ends in .json or .npz, got a.txt'),
        (['{mine}', 'x.pth', '--top', '-1'], '--top must be 0 or more'),
        (['{mine}', '--predictions', 'nowhere'], 'folder nowhere does not exist'),
        (['{configs}/mask_rcnn_coat_lite_t_1x_coco.py', 'x.pth'], 'the config is one of detection'),
        (['{configs}/coat_lite_t_in1k.py', 'x.pth'], 'the config is one of classification'),
        (
            ['{configs}/unet_coat_lite_s_drive_multilabel.py', 'x.pth'],
            "masks of this config (mmcoat.MaskLoss, labels='bits') are judged one by one",
        ),
    ],
)
def test_errors(monkeypatch, capsys, work, arguments, message):
    names = dict(mine=work[1], configs=ROOT / 'configs')
    arguments = [argument.format(**names) for argument in arguments]
    assert run_tool(monkeypatch, TOOL, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1


def test_no_labels(work):
    cfg = runs.load_config(str(work[1]))
    cfg.test_dataloader.dataset.data_prefix.seg_map_path = None
    with pytest.raises(
        predictions.AnalysisError, match='no labels to compare with: take --split v'
    ):
        predictions.Predictions(cfg, None)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_labelled_config_of_ours_can_be_analysed(path):
    """Their pipelines load labels, in the size of the file."""
    cfg = runs.load_config(str(path))
    for split in predictions.SPLITS:
        for dataset in runs.datasets(cfg, (split,)):
            key = predictions.LABELS[models.task_of(cfg)]
            predictions._check_truth(dataset, split, key)


def test_one_mask_is_two_classes():
    predictions.check_task(runs.load_config(str(ROOT / 'configs/unet_coat_lite_s_drive_masks.py')))


@pytest.mark.parametrize('channels, kind', [(1, np.uint8), (3, np.uint8), (8, np.float32)])
def test_pictures_of_any_channels(channels, kind):
    import torch

    values = np.arange(channels * 16).reshape(channels, 4, 4).astype(kind) * 3
    seen = predictions.Seen('x', None, torch.from_numpy(values))
    shown = seen.picture((8, 12))
    assert shown.shape == (8, 12, 3) and shown.dtype == np.uint8 and shown.std() > 1
