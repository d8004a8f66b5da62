"""Allowed starts of a run, and its work dir; without training."""

import argparse
import os
import socket
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from mmcoat.runs import locked, protect, resume, set_resume, workdir
from mmcoat.runs.resume import ResumeError
from mmcoat.runs.workdir import WorkDirError


def checkpoint(path, iteration=1, epoch=0, **more):
    state = dict(
        meta=dict(iter=iteration, epoch=epoch, seed=5),
        message_hub={},
        optimizer={},
        state_dict=dict(weight=torch.ones(100)),
    )
    torch.save(state | more, path)
    return path


def config(folder, **more):
    return Config(dict(work_dir=str(folder), load_from=None, resume=False, **more))


def test_newest_whole_one_whatever_the_pointer_says(tmp_path, capsys):
    for number in (2, 10, 9, 12, 14):
        checkpoint(tmp_path / f'iter_{number}.pth', number)
    whole = (tmp_path / 'iter_14.pth').read_bytes()
    (tmp_path / 'iter_14.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'iter_12.pth').write_bytes(b'')
    checkpoint(tmp_path / 'best_mIoU_iter_20.pth', 20)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'gone.pth'))
    cfg = config(tmp_path)
    set_resume(cfg, 'auto')
    assert cfg.resume is True
    assert cfg.load_from == str(tmp_path / 'iter_10.pth')
    assert cfg.randomness.seed == 5
    assert capsys.readouterr().out.count('skipped: ') == 2


def test_an_epoch_further_wins(tmp_path):
    checkpoint(tmp_path / 'iter_8.pth', 8, epoch=1)
    checkpoint(tmp_path / 'epoch_2.pth', 8, epoch=2)
    assert resume.newest(tmp_path)[0].name == 'epoch_2.pth'
    checkpoint(tmp_path / 'iter_9.pth', 9, epoch=2)
    assert resume.newest(tmp_path)[0].name == 'iter_9.pth'


def test_nothing_there(tmp_path):
    for asked in ('auto', None):
        cfg = config(tmp_path)
        cfg.resume = asked is None  # the config asks for it
        with pytest.raises(ResumeError, match=r'nothing to resume in .*auto-or-new'):
            set_resume(cfg, asked)
    cfg = config(tmp_path)
    set_resume(cfg, 'auto-or-new')
    assert cfg.resume is False and cfg.load_from is None


def test_used_work_dir(tmp_path):
    path = checkpoint(tmp_path / 'iter_3.pth', 3)
    best = checkpoint(tmp_path / 'best_mIoU_iter_3.pth', 3)
    log = tmp_path / 'run.log'
    log.write_text('')
    with pytest.raises(WorkDirError, match=r'iter_3.pth.*--resume.*--work-dir.*--overwrite'):
        set_resume(config(tmp_path), None)
    with pytest.raises(ResumeError, match='give only one of them'):
        set_resume(config(tmp_path), 'auto', overwrite=True)
    assert path.is_file()
    set_resume(config(tmp_path), None, overwrite=True)
    assert not path.exists() and not best.exists() and log.exists()


def test_checkpoint_of_another_run(tmp_path):
    used, elsewhere = tmp_path / 'used', tmp_path / 'elsewhere'
    used.mkdir(), elsewhere.mkdir()
    checkpoint(used / 'iter_3.pth', 3)
    other = checkpoint(elsewhere / 'iter_1.pth')
    with pytest.raises(WorkDirError, match='holds checkpoints of an earlier run'):
        set_resume(config(used), str(other))
    cfg = config(tmp_path / 'new', randomness=dict(seed=1, deterministic=True))
    set_resume(cfg, str(other))
    assert cfg.load_from == str(other)
    assert cfg.randomness == dict(seed=5, deterministic=True)


def test_bare_weights(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=dict(weight=torch.ones(1))), path)
    with pytest.raises(ResumeError, match=r'holds no meta: these are bare weights.*load_from='):
        set_resume(config(tmp_path), str(path))


def test_second_run_is_refused(tmp_path):
    refused = pytest.raises(WorkDirError, match=f'in use by process {os.getpid()}')
    with locked(tmp_path), refused, locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):  # free again
        pass


def write_lock(folder, **owner):
    ours = workdir._myself() | owner
    (folder / '.lock').write_text(str(ours).replace("'", '"').replace('None', 'null'))


def test_stale_locks(tmp_path, monkeypatch):
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait()
    write_lock(tmp_path, pid=ended.pid)
    with locked(tmp_path):  # of a dead process on this host
        pass
    write_lock(tmp_path, started='1')  # the process id is another process's by now
    with locked(tmp_path):
        pass
    write_lock(tmp_path, host='another')
    with pytest.raises(WorkDirError, match=r'on another; .*delete'), locked(tmp_path):
        pass
    monkeypatch.setenv('SLURM_JOB_ID', '77')
    write_lock(tmp_path, host='another')
    with locked(tmp_path):  # the same job, requeued
        pass
    (tmp_path / '.lock').write_text('')
    with pytest.raises(WorkDirError, match='is not a lock'), locked(tmp_path):
        pass
    assert socket.gethostname() == workdir._myself()['host']


def test_other_processes_do_not_lock(tmp_path, monkeypatch):
    with locked(tmp_path):
        monkeypatch.setenv('RANK', '1')
        with locked(tmp_path):
            pass


def test_unusable_work_dirs(tmp_path, monkeypatch):
    file = tmp_path / 'file'
    file.write_text('')
    for folder in (file, file / 'below'):
        with pytest.raises(WorkDirError, match='a file of that name exists'), locked(folder):
            pass
    # a folder of the system's in which nobody can write, the administrator neither
    with pytest.raises(WorkDirError, match='cannot be written to'), locked('/proc/here'):
        pass


def test_any_config_is_protected():
    cfg = Config(dict(train_cfg=dict(by_epoch=True, max_epochs=1)))
    protect(cfg)
    assert cfg.train_cfg == dict(type='mmcoat.EpochBasedTrainLoop', max_epochs=1)
    assert {hook.type for hook in cfg.default_hooks.values()} == {
        'mmcoat.CheckWeightsHook',
        'mmcoat.CheckpointHook',
        'mmcoat.FiniteLossHook',
        'mmcoat.StopSignalHook',
    }
    own = dict(check_weights=None, checkpoint=None, finite_loss=None, stop_signal=dict(type='Mine'))
    cfg = Config(dict(train_cfg=dict(type='Own'), default_hooks=own))
    protect(cfg)
    assert cfg.train_cfg.type == 'Own'
    assert cfg.default_hooks == own  # build_runner leaves out what is None


def test_launcher_without_its_variables(monkeypatch):
    from mmcoat.runs import set_run

    monkeypatch.delenv('RANK', raising=False)
    args = argparse.Namespace(launcher='pytorch', local_rank=0, work_dir='w', config='c.py')
    with pytest.raises(ValueError, match=r'--launcher pytorch needs RANK.*torchrun'):
        set_run(Config(dict(env_cfg={}, model={})), args, stages=())
