"""A short training with the real config learns."""

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from tests.classification.pictures import make_imagenet

SIZE = 64


class KeepLosses(Hook):
    """Remember the loss of every iteration."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())


def small_config(root, work_dir) -> Config:
    """Return the real CoaT-Lite Tiny config for four classes of small pictures.

    Without Mixup, CutMix and RandAugment: colours tell these classes apart, 200 steps would learn by luck.
    """
    classes = make_imagenet(root, train=48, val=12)
    cfg = Config.fromfile('configs/coat_lite_t_in1k.py')
    cfg.work_dir = str(work_dir)
    cfg.randomness = dict(seed=0)
    cfg.model.data_preprocessor.num_classes = len(classes)
    cfg.model.head.update(num_classes=len(classes), topk=(1,))
    cfg.model.train_cfg = None  # Mixup, CutMix
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[:] = [step for step in pipeline if step.type != 'RandAugment']
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.update(batch_size=16, num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(root), metainfo=dict(classes=classes))
    pipeline[1].scale = SIZE
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline[1].scale = SIZE
        loader.dataset.pipeline[2].crop_size = SIZE
    cfg.val_evaluator = cfg.test_evaluator = dict(type='Accuracy', topk=1)
    cfg.train_cfg.update(max_epochs=16, val_interval=16)
    cfg.optim_wrapper.optimizer.lr = 1e-3
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=10)]
    cfg.custom_hooks[0].momentum = 0.05  # a hundred iterations, not a hundred thousand
    return cfg


def test_learns(tmp_path):
    torch.manual_seed(0)
    cfg = small_config(tmp_path / 'data', tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    keep = KeepLosses()
    runner.register_hook(keep)
    runner.train()
    metrics = runner.val_loop.run()
    first, last = keep.losses[:10], keep.losses[-10:]
    assert sum(last) < 0.7 * sum(first), keep.losses
    assert metrics['accuracy/top1'] > 75, metrics  # chance is 25


def test_training_pictures(tmp_path):
    """The whole pipeline of the recipe, RandAugment and erasing included, makes what the model takes."""
    classes = make_imagenet(tmp_path, train=2, val=0)
    cfg = Config.fromfile('configs/coat_lite_t_in1k.py')
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(tmp_path), metainfo=dict(classes=classes), _scope_='mmpretrain')
    samples = list(DATASETS.build(dataset))
    assert [sample['inputs'].shape for sample in samples] == 8 * [(3, 224, 224)]
    assert sorted(int(sample['data_samples'].gt_label) for sample in samples) == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
    ]
