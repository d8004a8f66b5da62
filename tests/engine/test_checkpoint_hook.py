"""Checkpoints are complete at every moment; a NaN or infinite loss stops a training."""

import errno
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmcoat.checkpoints import atomic, read_checkpoint
from mmcoat.engine.hooks import NonFiniteError
from mmcoat.errors import UsageError
from mmcoat.runs import one_line_faults, protect


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return dict(loss=(self.weight * torch.stack(inputs).mean()).sum())


class Numbers(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        sample = SimpleNamespace(img_path=f'image_{index}.png')
        return dict(inputs=torch.full((2,), float(index)), data_samples=sample)


class Watch(Hook):
    """Note the files at the end of each iteration, and spoil one loss."""

    priority = 'LOWEST'

    def __init__(self, spoil=None):
        self.seen, self.spoil = [], spoil

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.spoil == runner.iter:
            data_batch['inputs'] = [value * float('inf') for value in data_batch['inputs']]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        names = sorted(path.name for path in Path(runner.work_dir).glob('*.pth'))
        self.seen.append(names)


def runner(work_dir, *hooks, finite=None, **checkpoint):
    cfg = Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=4),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1) | checkpoint,
                finite_loss=dict(type='mmcoat.FiniteLossHook') | (finite or {}),
            ),
        )
    )
    protect(cfg)
    return Runner(
        Model(),
        str(work_dir),
        train_dataloader=dict(
            dataset=Numbers(),
            sampler=dict(type='InfiniteSampler', shuffle=False),
            batch_size=2,
            num_workers=0,
        ),
        train_cfg=cfg.train_cfg,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=cfg.default_hooks,
        custom_hooks=list(hooks),
        default_scope='mmengine',
        experiment_name=str(work_dir),
    )


def test_a_whole_one_at_every_moment(tmp_path, monkeypatch):
    """With max_keep_ckpts=1: at each replacement of a file, the former checkpoint is still whole."""
    moments = []
    replace = atomic.Path.replace

    def watched(self, target):
        whole = [path for path in tmp_path.glob('*.pth') if read_checkpoint(path)]
        pointer = tmp_path / 'last_checkpoint'
        named = pointer.read_text() if pointer.exists() else None
        moments.append((target.name, [path.name for path in whole], named))
        return replace(self, target)

    monkeypatch.setattr(atomic.Path, 'replace', watched)
    runner(tmp_path, max_keep_ckpts=1).train()
    names = [name for name, _, _ in moments]
    assert names == [name for n in (1, 2, 3, 4) for name in (f'iter_{n}.pth', 'last_checkpoint')]
    for name, whole, named in moments[2:]:
        assert whole, f'no checkpoint while {name} was written'
        assert named.endswith(tuple(whole))  # what the pointer names is there and whole
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_4.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_4.pth')
    assert not list(tmp_path.glob('.*'))


def test_disk_full(tmp_path, monkeypatch):
    """One line; the last checkpoint and the pointer are unchanged, and there is no partial file."""
    fsync = atomic.os.fsync

    def full(handle):
        if len(list(tmp_path.glob('*.pth'))) == 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return fsync(handle)

    monkeypatch.setattr(atomic.os, 'fsync', full)
    run = runner(tmp_path, max_keep_ckpts=2)
    told = pytest.raises(
        UsageError, match=r'No space left on device; checkpoints in .* are complete'
    )
    with told, one_line_faults(run):
        run.train()
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_1.pth', 'iter_2.pth']
    assert not list(tmp_path.glob('.*'))
    assert read_checkpoint(tmp_path / 'iter_2.pth')['meta']['iter'] == 2


def test_killed_before_the_old_one_was_deleted(tmp_path, monkeypatch):
    """Files that a killed run left are deleted after the next save."""
    from mmcoat.engine.hooks import CheckpointHook

    remove = CheckpointHook._remove

    def killed(self, path):
        raise SystemExit(9)

    monkeypatch.setattr(CheckpointHook, '_remove', killed)
    with pytest.raises(SystemExit):
        runner(tmp_path, max_keep_ckpts=1).train()
    assert {path.name for path in tmp_path.glob('*.pth')} == {'iter_1.pth', 'iter_2.pth'}
    monkeypatch.setattr(CheckpointHook, '_remove', remove)
    again = runner(tmp_path, max_keep_ckpts=1)
    again._load_from, again._resume = str(tmp_path / 'iter_2.pth'), True
    again.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_4.pth']


def test_nan_stops(tmp_path):
    watch = Watch(spoil=2)
    with pytest.raises(NonFiniteError) as stopped:
        runner(tmp_path, watch).train()
    message = str(stopped.value)
    assert message.startswith('iteration 3: the loss is nan; batch: image_0.png, image_1.png; ')
    assert f'last good checkpoint: {tmp_path / "iter_2.pth"}' in message
    assert '\n' not in message
    assert watch.seen[-1] == ['iter_1.pth', 'iter_2.pth']
    assert not (tmp_path / 'iter_3.pth').exists()


def test_infinite_loss_goes_on_when_asked_to(tmp_path):
    runner(tmp_path, Watch(spoil=2), finite=dict(stop=False)).train()
    assert (tmp_path / 'iter_4.pth').exists()
    with pytest.raises(NonFiniteError, match='interval must be at least 1, got 0'):
        runner(tmp_path / 'other', finite=dict(interval=0))


def test_weights_that_are_no_number_are_not_saved(tmp_path):
    """A finite loss can leave infinite weights: found before the save, not at the next loss."""

    class Spoil(Hook):
        priority = 'HIGH'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 1:
                runner.model.weight.data[2] = float('nan')

    with pytest.raises(NonFiniteError, match=r'iteration 2: 1 weights are not finite \(weight'):
        runner(tmp_path, Spoil()).train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']


def test_signals_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    runner(tmp_path).train()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
