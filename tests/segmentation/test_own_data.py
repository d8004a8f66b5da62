"""The user's own classes, as in README: labels 1, 2, 3 of a map become classes 0, 1, 2."""

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmcoat import runs
from mmcoat.checkpoints import read_checkpoint
from tests.helpers import ROOT, run_tool

pytest.importorskip('mmseg')
CLASSES = ('road', 'field', 'forest')


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    for split in ('training', 'validation'):
        for folder in ('images', 'annotations'):
            (tmp_path / 'data' / folder / split).mkdir(parents=True)
        for name in ('a', 'b'):
            labels = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None].repeat(64, axis=1)
            image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f'data/images/{split}/{name}.jpg'), image)
            cv2.imwrite(str(tmp_path / f'data/annotations/{split}/{name}.png'), labels)
    path = tmp_path / 'mine.py'
    path.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'fpn_coat_lite_s_own.py')!r}
data_root = {str(tmp_path / 'data')!r}
crop_size = (64, 64)
num_classes = 3
metainfo = dict(classes={CLASSES!r}, palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]])
model = dict(backbone=dict(init_cfg=None))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=1, val_interval=5)
""")
    return path


def test_labels(config):
    from mmseg.registry import DATASETS

    cfg = runs.load_config(str(config))
    init_default_scope('mmseg')
    for name in ('val', 'test'):
        dataset = DATASETS.build(cfg[f'{name}_dataloader'].dataset)
        assert dataset.metainfo['classes'] == CLASSES
        labels = dataset[0]['data_samples'].gt_sem_seg.data.numpy()
        assert sorted(np.unique(labels)) == [0, 1, 2, 255]


def test_training_step(monkeypatch, config, tmp_path):
    options = ['--cfg-options', 'train_dataloader.dataset.pipeline.2.scale=(256,64)']
    assert run_tool(monkeypatch, 'train', config, '--work-dir', tmp_path / 'run', *options) == 0
    state = read_checkpoint(tmp_path / 'run' / 'iter_1.pth')['state_dict']
    assert state['decode_head.conv_seg.weight'].shape[0] == 3
