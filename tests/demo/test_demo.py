"""The demos from end to end, with few images and steps; they override only the documented settings."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmcoat.datasets.synthetic import MANIFEST, colour_baseline_miou
from mmcoat.demo.detection import DetectionDemo, DetectionOptions
from mmcoat.demo.segmentation import SegmentationDemo, SegmentationOptions
from tests.helpers import load, run_tool

DEMOS = {
    'demo': (SegmentationDemo, SegmentationOptions),
    'demo_det': (DetectionDemo, DetectionOptions),
}
SMALL = ['--iterations', 2, '--batch-size', 2, '--train-images', 4, '--val-images', 3]


def check_what_it_leaves(root: Path, demo: type, layout: str, lines: list[str]) -> None:
    manifest = json.loads((root / 'data' / MANIFEST).read_text())
    assert manifest['layout'] == layout
    assert sum(name.endswith('.jpg') for name in manifest['files']) == 7
    assert (root / 'run' / demo.config_name).is_file()
    assert (root / 'run' / 'iter_2.pth').stat().st_size > 10_000_000
    for name in ('scenes.png', 'curves.png', 'attention.png'):
        pixels = np.asarray(Image.open(root / 'pictures' / name).convert('RGB'))
        assert min(pixels.shape[:2]) > 200
        assert pixels.std() > 10
        assert str(root / 'pictures' / name) in '\n'.join(lines)


def check_the_last_line(monkeypatch, root: Path, line: str) -> None:
    """Copied to a terminal, it must work."""
    _, tool, *arguments = shlex.split(line)
    assert Path(tool).is_file()
    assert run_tool(monkeypatch, Path(tool).stem, *arguments) == 0
    overlay = next((root / 'inference').glob('*_overlay.png'))
    assert np.asarray(Image.open(overlay)).std() > 10
    for checkpoint in root.glob('run/*.pth'):  # pytest keeps its folders: 600 MB each
        checkpoint.unlink()


def logged(root: Path, name: str) -> list[float]:
    """Return what the run's log file of numbers says."""
    lines = next(root.glob('run/*/vis_data/scalars.json')).read_text().splitlines()
    return [entry[name] for entry in map(json.loads, lines) if name in entry]


def test_segmentation(tmp_path, monkeypatch, capfd):
    arguments = [*SMALL, '--crop', 64, '--image-size', 80, 64, '--work-dir', tmp_path]
    assert run_tool(monkeypatch, 'demo', *arguments) == 0
    shown = capfd.readouterr()
    lines = shown.out.splitlines()
    assert shown.err == ''
    assert [line[:5] for line in lines if line.startswith('[')] == [
        f'[{n}/4]' for n in (1, 2, 3, 4)
    ]
    scores = [float(line.split()[-1]) for line in lines if ' IoU ' in line]
    assert scores == sorted(scores, reverse=True)
    pattern = r'mIoU over the (\d+) classes present: ([\d.]+) \(colour alone gives ([\d.]+)\); took'
    count, miou, colour = re.search(pattern, shown.out).groups()
    assert int(count) == len(scores) > 5
    assert float(miou) == pytest.approx(np.mean(scores), abs=2e-3)
    assert float(miou) == pytest.approx(logged(tmp_path, 'mIoU_present')[-1] / 100, abs=1e-3)
    assert float(colour) == round(colour_baseline_miou(tmp_path / 'data'), 3)
    loss = re.search(r'2/2  loss ([\d.]+)  mIoU', shown.out).group(1)
    assert float(loss) == pytest.approx(np.mean(logged(tmp_path, 'loss')), abs=2e-3)
    check_what_it_leaves(tmp_path, SegmentationDemo, 'ade20k', lines)
    check_the_last_line(monkeypatch, tmp_path, lines[-1])


def test_detection(tmp_path, monkeypatch, capfd):
    arguments = [*SMALL, '--short-side', 64, '--work-dir', tmp_path / 'a folder']
    assert run_tool(monkeypatch, 'demo_det', *arguments) == 0
    shown = capfd.readouterr()
    lines = shown.out.splitlines()
    assert shown.err == ''
    assert len(lines) <= 10
    assert 'Average Precision' not in shown.out
    found = re.search(r'box AP50 (0\.\d+), mask AP50 (0\.\d+) on 3 unseen scenes; took', shown.out)
    assert found
    logs = [path.read_text() for path in (tmp_path / 'a folder').glob('run/*/*.log')]
    assert any('Average Precision' in log or 'empty' in log for log in logs)
    check_what_it_leaves(tmp_path / 'a folder', DetectionDemo, 'coco', lines)
    check_the_last_line(monkeypatch, tmp_path / 'a folder', lines[-1])


def test_detection_gives_the_metrics_back(tmp_path):
    """Nothing is detected after two steps, so the numbers are tested with a fake runner."""

    def val() -> dict[str, float]:
        print('Average Precision: a table')
        return {'coco/bbox_mAP_50': 0.5, 'coco/segm_mAP_50': 0.25, 'coco/bbox_mAP': 0.125}

    notes: list[str] = []
    runner = SimpleNamespace(val=val, logger=SimpleNamespace(info=notes.append))
    demo = DetectionDemo(DetectionOptions(work_dir=str(tmp_path)))
    scores = demo.evaluate(runner)
    assert scores == {'box AP50': 0.5, 'mask AP50': 0.25}
    assert demo.summary(scores) == 'box AP50 0.500, mask AP50 0.250 on 60 unseen scenes'
    assert notes == ['Average Precision: a table\n']


def test_detection_looks_at_an_object(tmp_path):
    demo = DetectionDemo(DetectionOptions(work_dir=str(tmp_path), train_images=1, val_images=6))
    demo.draw_data()
    assert demo.example().is_file()
    text = (tmp_path / 'data' / 'annotations' / 'instances_val2017.json').read_text()
    content = json.loads(text)
    [image] = [i for i in content['images'] if i['file_name'] == demo.example().name]
    boxes = [a['bbox'] for a in content['annotations'] if a['image_id'] == image['id']]
    x, y = demo.pixel()
    assert boxes and 0 <= x < image['width'] and 0 <= y < image['height']
    assert any(b[0] <= x <= b[0] + b[2] and b[1] <= y <= b[1] + b[3] for b in boxes)


@pytest.mark.parametrize('name', DEMOS)
def test_overrides_no_more_than_they_say(name, tmp_path):
    demo_class, options = DEMOS[name]
    demo = demo_class(options(work_dir=str(tmp_path)))
    cfg, real = demo.config(), load(demo.config_name)
    assert cfg.model.backbone.init_cfg is None
    cfg.model.backbone.init_cfg = real.model.backbone.init_cfg
    if name == 'demo':
        assert cfg.model.data_preprocessor.pop('size') == (96, 96)
        real.model.data_preprocessor.pop('size')
        norms = [cfg.model[head].pop('norm_cfg') for head in ('decode_head', 'auxiliary_head')]
        assert all(norm.type in ('BN', 'SyncBN') for norm in norms)
        for head in ('decode_head', 'auxiliary_head'):
            real.model[head].pop('norm_cfg')
    assert cfg.model == real.model
    for loader in ('train_dataloader', 'val_dataloader'):
        ours, theirs = cfg[loader].dataset, real[loader].dataset
        assert ours.data_root == str(tmp_path / 'data') != theirs.data_root
        steps = [[step.type for step in dataset.pipeline] for dataset in (ours, theirs)]
        assert steps[0] == steps[1]
    assert cfg.optim_wrapper.optimizer.pop('lr') == demo.options.lr
    real.optim_wrapper.optimizer.pop('lr')
    assert cfg.optim_wrapper == real.optim_wrapper
    if name == 'demo_det':
        assert cfg.val_evaluator.ann_file.startswith(str(tmp_path))


@pytest.mark.parametrize('name', DEMOS)
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--iterations', '0'], 'iterations must be above 0, got 0'),
        (['--batch-size', '-1'], 'batch_size must be above 0, got -1'),
        (['--lr', '0'], 'lr must be above 0, got 0.0'),
        (['--train-images', '-5'], 'train must be from 1 to 1000000 images, got -5'),
    ],
)
def test_options_that_cannot_work(name, arguments, message, tmp_path, monkeypatch, capsys):
    assert run_tool(monkeypatch, name, '--work-dir', tmp_path, *arguments) == 2
    assert capsys.readouterr().err == f'{name}.py: error: {message}\n'


def test_keeps_what_others_put_into_its_folder(tmp_path, monkeypatch, capsys):
    photo = tmp_path / 'data' / 'images' / 'photo.jpg'
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b'precious')
    assert run_tool(monkeypatch, 'demo', '--work-dir', tmp_path) == 2
    assert 'photo.jpg. Nothing was deleted' in capsys.readouterr().err
    assert photo.read_bytes() == b'precious'
