"""``tools/test.py --show-dir`` means one folder, whatever the toolbox: its hooks draw into it."""

import importlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS, VISUALIZERS, init_default_scope
from mmengine.structures import InstanceData, PixelData

from mmcoat import runs
from tests.helpers import load


def segmented(path):
    from mmseg.structures import SegDataSample

    sample = SegDataSample(metainfo=dict(img_path=path))
    sample.set_data(dict(pred_sem_seg=PixelData(data=torch.zeros(1, 40, 50, dtype=torch.long))))
    return sample


def detected(path):
    from mmdet.structures import DetDataSample

    sample = DetDataSample(metainfo=dict(img_path=path))
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[5.0, 5.0, 30.0, 30.0]]),
        scores=torch.ones(1),
        labels=torch.zeros(1).long(),
    )
    return sample


@pytest.mark.parametrize(
    ('toolbox', 'config', 'draw'),
    [
        ('mmseg', 'fpn_coat_lite_s_ade20k.py', segmented),
        ('mmdet', 'mask_rcnn_coat_lite_s_1x_coco.py', detected),
    ],
)
def test_pictures_lie_in_the_folder_itself(monkeypatch, tmp_path, toolbox, config, draw):
    pytest.importorskip(f'{toolbox}.models')
    check(monkeypatch, tmp_path, toolbox, config, draw)


def check(monkeypatch, tmp_path, toolbox, config, draw):
    """Draw one prediction, a sample from ``draw(path of the image)``; tests/classification does it, too."""
    for part in ('engine', 'visualization'):
        importlib.import_module(f'{toolbox}.{part}')
    monkeypatch.chdir(tmp_path)  # a relative path counts from here, as everywhere else
    cv2.imwrite('photo.jpg', np.full((40, 50, 3), 90, np.uint8))
    cfg = load(config)
    init_default_scope(cfg.default_scope)
    runs.enable_drawing(cfg, False, 'pictures', 0, 1)
    settings = dict(cfg.visualizer, name=str(tmp_path), save_dir=str(tmp_path / 'run' / 'log'))
    visualizer = VISUALIZERS.build(settings)
    visualizer.dataset_meta = dict(classes=('a', 'b', 'c'), palette=[(0, 0, 0)] * 3)
    hook = HOOKS.build(cfg.default_hooks.visualization)
    hook._visualizer = visualizer
    runner = SimpleNamespace(
        work_dir=str(tmp_path / 'run'), timestamp='log', iter=0, visualizer=visualizer
    )
    batch = dict(inputs=[torch.zeros(3, 40, 50, dtype=torch.uint8)])
    hook.after_test_iter(runner, 0, batch, [draw(str(tmp_path / 'photo.jpg'))])
    found = sorted(tmp_path.rglob('*photo.jpg*'))
    found.remove(tmp_path / 'photo.jpg')
    assert [path.parent for path in found] == [tmp_path / 'pictures']
    assert cv2.imread(str(found[0])).std() > 0
