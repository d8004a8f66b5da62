"""Several processes without a GPU, and the scripts that start them."""

import os
import signal
import subprocess
import time

import pytest

from tests.helpers import ROOT, run_tool
from tests.runs.common import segmentation_config, start


@pytest.fixture(scope='module')
def config(tmp_path_factory, ade):
    """No drop path, whose draws are each process's own; GroupNorm, as SyncBN needs GPUs."""
    pytest.importorskip('mmseg')
    more = """
model['backbone']['drop_path_rate'] = 0.0
model['decode_head'] = dict(dropout_ratio=0.0, norm_cfg=dict(type='GN', num_groups=8))
val_cfg = val_dataloader = val_evaluator = None
"""
    return segmentation_config(tmp_path_factory.mktemp('configs'), ade, iterations=3, more=more)


def options(batch_size):
    return ['--cfg-options', 'randomness.seed=7', f'train_dataloader.batch_size={batch_size}']


def with_losses(config, out):
    """Write a config that also writes its losses down."""
    path = config.with_name(f'{out.stem}_{config.name}')
    hook = dict(type='MeanLossHook', out=str(out))
    path.write_text(f'_base_ = {str(config)!r}\ncustom_hooks = [{hook!r}]\n')
    return path


def read(path):
    return [float(line) for line in path.read_text().split()]


def test_two_processes_are_one_with_twice_the_batch(monkeypatch, tmp_path, config):
    """The same samples, the same augmentation, the same losses, also after the data was seen once."""
    one, two = tmp_path / 'one.txt', tmp_path / 'two.txt'
    run = tmp_path / 'run'
    arguments = ['train', with_losses(config, one), '--work-dir', tmp_path / 'alone']
    assert run_tool(monkeypatch, *arguments, *options(4)) == 0
    process = start(
        with_losses(config, two), 2, '--work-dir', run, *options(2), tool='dist_train.sh'
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    assert read(two) == pytest.approx(read(one), abs=1e-5)
    assert len(read(one)) == 3
    assert not (run / '.lock').exists()


def test_sigterm_reaches_every_process(tmp_path, config):
    """torchrun hands it on; the processes agree on the iteration at which they stop."""
    run = tmp_path / 'run'
    process = start(
        config,
        2,
        '--work-dir',
        run,
        *options(2),
        'train_cfg.max_iters=100000',
        tool='dist_train.sh',
    )
    try:
        wait_for(run / 'iter_2.pth')
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert 'SIGTERM: stopped after iteration ' in output, output[-3000:]
    (saved,) = run.glob('iter_*.pth')
    assert int(saved.stem.split('_')[1]) % 10 == 0  # the iterations at which they ask one another


def wait_for(path, seconds=180):
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert path.exists()


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
)
def test_usage(script):
    done = subprocess.run(['bash', ROOT / 'tools' / script], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')


def test_number_of_processes():
    command = ['bash', ROOT / 'tools' / 'dist_train.sh', 'config.py', 'two']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "GPUS must be a number of at least 1, got 'two'" in done.stderr


def test_slurm_commands(tmp_path):
    """What srun is told: a fake one writes it down."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/usr/bin/env bash\necho "$MASTER_PORT $OMP_NUM_THREADS $*"\n')
    srun.chmod(0o755)
    environ = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='2', GRACE='60')
    for name in ('PORT', 'MASTER_PORT', 'OMP_NUM_THREADS'):
        environ.pop(name, None)
    command = ['bash', ROOT / 'tools' / 'slurm_train.sh', 'part', 'job', 'c.py', 'dir', '--resume']
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    port, threads, told = done.stdout.split(' ', 2)
    assert 20000 <= int(port) < 40000 and threads == '5'
    assert '--ntasks=2' in told and '--gres=gpu:2' in told and '--signal=TERM@60' in told
    assert told.rstrip().endswith('c.py --work-dir=dir --launcher slurm --resume')
