"""Small trainings to interrupt: configs, chosen faults, separate processes, bitwise comparison."""

import atexit
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmcoat.checkpoints import read_checkpoint
from tests.helpers import ROOT

SIZE = '(64, 64)'


@HOOKS.register_module(force=True)
class FaultHook(Hook):
    """Send this process a signal, or spoil the loss, at an iteration (the first one is 0)."""

    priority = 'VERY_HIGH'

    def __init__(self, at: int, fault: str, place: str = 'train') -> None:
        self.at, self.fault, self.place = at, fault, place

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if self.place == 'train' and runner.iter == self.at:
            self._strike()

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if self.place == 'val' and runner.iter == self.at:
            self._strike()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.fault == 'nan' and runner.iter == self.at:
            outputs['loss'] = outputs['loss'] * float('nan')

    def _strike(self) -> None:
        if self.fault.startswith('SIG'):
            os.kill(os.getpid(), getattr(signal, self.fault))


@HOOKS.register_module(force=True)
class MeanLossHook(Hook):
    """Write each iteration's loss, averaged over the processes, one a line."""

    def __init__(self, out: str) -> None:
        self.out = out

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        loss = outputs['loss'].detach().clone()
        all_reduce(loss, op='mean')
        if is_main_process():
            with open(self.out, 'a') as file:
                file.write(f'{loss.item()!r}\n')


def gloo_threads() -> list[str]:
    """Return the names of this process's threads that belong to a process group."""
    names = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]
    return [name for name in names if 'gloo' in name]


@HOOKS.register_module(force=True)
class LeftThreadsHook(Hook):
    """Write down how many threads of gloo run in the training, and which ones as the interpreter ends."""

    def __init__(self, out: str) -> None:
        self.out = out

    def after_train(self, runner: Any) -> None:
        path, training = Path(f'{self.out}.{get_rank()}'), len(gloo_threads())
        if get_world_size() == 1:  # within a test's own process
            return
        atexit.register(lambda: path.write_text(f'{training} {gloo_threads()}'))


def segmentation_config(
    folder: Path, data_root: Path, epochs: int = 0, iterations: int = 6, more: str = ''
) -> Path:
    """Write the config of a small segmentor with drop path and random augmentation."""
    loop = (
        f"dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs={epochs}, val_interval=1)"
        if epochs
        else f'dict(max_iters={iterations}, val_interval=3)'
    )
    path = folder / f'seg_{"epochs" if epochs else "iterations"}.py'
    path.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'fpn_coat_lite_s_ade20k.py')!r}
custom_imports = dict(imports=['tests.runs.common'])
model = dict(
    data_preprocessor=dict(size={SIZE}),
    backbone=dict(arch='lite_tiny', init_cfg=None, drop_path_rate=0.3),
    neck=dict(in_channels=[64, 128, 256, 320]),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomResize', scale=(256, 64), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size={SIZE}, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 64), keep_ratio=True),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    {"sampler=dict(type='DefaultSampler', shuffle=True)," if epochs else ''}
    dataset=dict(data_root={str(data_root)!r}, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(data_root={str(data_root)!r}, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
train_cfg = {loop}
default_hooks = dict(
    checkpoint=dict(by_epoch={bool(epochs)}, interval={1 if epochs else 2}, max_keep_ckpts=1),
    logger=dict(interval=1),
    visualization=None,
)
{more}
""")
    return path


def detection_config(
    folder: Path, data_root: Path, epochs: int = 2, iterations: int = 0, more: str = ''
) -> Path:
    """Write the config of a small Mask R-CNN with drop path, random scales and flips."""
    loop = (
        f"dict(_delete_=True, type='IterBasedTrainLoop', max_iters={iterations}, val_interval=3)"
        if iterations
        else f'dict(max_epochs={epochs}, val_interval=1)'
    )
    path = folder / 'det.py'
    path.write_text(f"""
_base_ = {str(ROOT / 'configs' / 'mask_rcnn_coat_lite_t_1x_coco.py')!r}
custom_imports = dict(imports=['tests.runs.common'])
model = dict(
    backbone=dict(init_cfg=None, drop_path_rate=0.3),
    train_cfg=dict(rpn_proposal=dict(max_per_img=50), rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(max_per_img=3)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(96, 96), (80, 64)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
quick = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        data_root={str(data_root)!r}, pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=False)
    ),
    **quick
)
val_dataloader = dict(dataset=dict(data_root={str(data_root)!r}, pipeline=test_pipeline), **quick)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={str(data_root / 'annotations' / 'instances_val2017.json')!r})
test_evaluator = val_evaluator
train_cfg = {loop}
default_hooks = dict(
    checkpoint=dict(by_epoch={not iterations}, interval={2 if iterations else 1}, max_keep_ckpts=1),
    logger=dict(interval=1),
    visualization=None,
)
log_processor = dict(by_epoch={not iterations})
{more}
""")
    return path


def with_fault(config: Path, at: int, fault: str, place: str = 'train') -> Path:
    """Write a config that differs from another in a fault."""
    path = config.with_name(f'{fault.lower()}_{config.name}')
    path.write_text(f"""
_base_ = {str(config)!r}
custom_hooks = [dict(type='FaultHook', at={at}, fault={fault!r}, place={place!r})]
""")
    return path


def start(*arguments: object, tool: str = 'train.py', **environment: str) -> subprocess.Popen:
    """Start a tool as a user does, in a process group of its own."""
    environ = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]),
    )
    environ |= environment
    interpreter = 'bash' if tool.endswith('.sh') else sys.executable
    command = [interpreter, ROOT / 'tools' / tool, *arguments]
    return subprocess.Popen(
        [str(part) for part in command],
        env=environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def differences(one: Path, other: Path) -> list[str]:
    """Return which weights and optimizer states of two checkpoints are not bitwise equal."""
    first, second = read_checkpoint(one), read_checkpoint(other)
    assert first['meta']['iter'] == second['meta']['iter']
    keys = ('state_dict', 'optimizer', 'param_schedulers')
    return [name for key in keys for name in _compare(first[key], second[key], key)]


def _compare(one: Any, other: Any, name: str) -> list[str]:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [bad for key in one for bad in _compare(one[key], other[key], f'{name}.{key}')]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        pairs = enumerate(zip(one, other, strict=True))
        return [bad for number, (a, b) in pairs for bad in _compare(a, b, f'{name}.{number}')]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [name]
