"""Several processes without a GPU, and the scripts that start them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS as LOSSES

from mmcoat import CoaT
from mmcoat.checkpoints import read_checkpoint
from tests.helpers import ROOT, run_tool
from tests.runs.common import detection_config, segmentation_config, start
from tests.runs.shard import step


@pytest.fixture(scope='module')
def config(tmp_path_factory, ade):
    """No drop path, whose draws are each process's own; GroupNorm."""
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
    hooks = [
        dict(type='MeanLossHook', out=str(out)),
        dict(type='LeftThreadsHook', out=str(out.with_suffix('.threads'))),
    ]
    path.write_text(f'_base_ = {str(config)!r}\ncustom_hooks = {hooks!r}\n')
    return path


def read(path):
    return [float(line) for line in path.read_text().split()]


SYNC_BN = """
_base_ = {config!r}
model = dict(decode_head=dict(norm_cfg=dict(_delete_=True, type='SyncBN', requires_grad=True)))
"""


def test_sync_bn_is_that_of_the_joint_batch(monkeypatch, tmp_path, config):
    """Losses and running statistics of two processes with SyncBN are those of one with BN."""
    losses, states = {}, {}
    for batch in (4, 2):
        path = tmp_path / f'bn{batch}.py'
        path.write_text(SYNC_BN.format(config=str(config)))
        out, run = tmp_path / f'{batch}.txt', tmp_path / f'run{batch}'
        arguments = [with_losses(path, out), '--work-dir', run, *options(batch)]
        if batch == 4:
            assert run_tool(monkeypatch, 'train', *arguments) == 0
        else:
            process = start(arguments[0], 2, *arguments[1:], tool='dist_train.sh')
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output[-3000:]
            assert "type='mmcoat.CPUSyncBN'" in output
        losses[batch] = read(out)
        states[batch] = read_checkpoint(run / 'iter_3.pth')['state_dict']
    assert losses[2] == pytest.approx(losses[4], abs=1e-5)
    assert states[2].keys() == states[4].keys()
    moved = [name for name in states[4] if name.endswith('running_var')]
    assert moved and not any((states[4][name] == 1).all() for name in moved)
    for name in moved + [name.replace('var', 'mean') for name in moved]:
        torch.testing.assert_close(states[2][name], states[4][name], rtol=1e-4, atol=1e-6)


def test_two_processes_are_one_with_twice_the_batch(monkeypatch, tmp_path, config):
    """The same samples, the same augmentation, the same losses, also after the data was seen once.

    At the end no thread of gloo is left, whose wait for Python's lock would abort the process.
    """
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
    for rank in (0, 1):
        training, left = two.with_suffix(f'.threads.{rank}').read_text().split(' ', 1)
        assert int(training) > 2 and left == '[]'


@LOSSES.register_module(force=True)
class PerImage(torch.nn.Module):
    """A loss per image, not per object; only then the mean over processes is that of the joint batch."""

    def __init__(self, inner, images, loss_weight=1.0):
        super().__init__()
        self.loss, self.images = LOSSES.build(inner), images

    def __getattr__(self, name):  # use_sigmoid and the like, which heads ask for
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__('loss'), name)

    def forward(self, pred, *args, avg_factor=None, **kwargs):
        if avg_factor is not None:
            return self.loss(pred, *args, avg_factor=100 * self.images, **kwargs)
        return self.loss(pred, *args, **kwargs) * len(pred) / (100 * self.images)


DETECTION = """
custom_imports = dict(imports=['tests.runs.common', 'tests.runs.test_scale_out'])
images = {images}
take_all = dict(sampler=dict(num=100000))  # nothing is drawn
model['backbone']['drop_path_rate'] = 0.0
model['train_cfg'] = dict(
    rpn=take_all, rcnn=take_all, rpn_proposal=dict(max_per_img=20)
)
def per_image(inner):
    return dict(_delete_=True, type='PerImage', inner=inner, images={images})
sigmoid = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True)
softmax = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False)
mask = dict(type='mmdet.CrossEntropyLoss', use_mask=True)
l1 = dict(type='mmdet.L1Loss')
model['rpn_head'] = dict(loss_cls=per_image(sigmoid), loss_bbox=per_image(l1))
model['roi_head'] = dict(
    bbox_head=dict(loss_cls=per_image(softmax), loss_bbox=per_image(l1)),
    mask_head=dict(loss_mask=per_image(mask)),
)
train_pipeline[2] = dict(type='Resize', scale=(96, 96), keep_ratio=True)
train_dataloader.update(
    batch_size={images}, batch_sampler=None, sampler=dict(type='InfiniteSampler', shuffle=True)
)
val_cfg = val_dataloader = val_evaluator = None
custom_hooks = [dict(type='MeanLossHook', out={out!r})]
"""


def test_two_processes_of_detection(monkeypatch, tmp_path, coco):
    """Mask R-CNN; its losses are means over objects, which differ in number, so they are taken per image."""
    pytest.importorskip('mmdet.models')
    losses = {}
    for images, processes in ((4, 1), (2, 2)):
        out, folder = tmp_path / f'{images}.txt', tmp_path / str(images)
        folder.mkdir()
        more = DETECTION.format(images=images, out=str(out))
        config = detection_config(folder, coco, iterations=3, more=more)
        arguments = ['--work-dir', folder / 'run', '--cfg-options', 'randomness.seed=7']
        if processes == 1:
            assert run_tool(monkeypatch, 'train', config, *arguments) == 0
        else:
            process = start(config, processes, *arguments, tool='dist_train.sh')
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output[-3000:]
        losses[processes] = read(out)
    assert len(losses[1]) == 3
    assert losses[2] == pytest.approx(losses[1], abs=1e-5)
    assert len(set(losses[1])) == 3 and min(losses[1]) > 0.01


def test_shards(tmp_path):
    """FSDP over two processes, block by block: a step is that of one process, weights come and go whole."""
    images = torch.randn(4, 3, 64, 64)
    torch.save(images, tmp_path / 'images.pth')
    expected = {}
    for arch in ('lite_tiny', 'tiny'):
        torch.manual_seed(5)
        model = CoaT(arch)
        torch.save(model.state_dict(), tmp_path / f'{arch}.pth')
        numbers = sum(p.numel() for p in model.parameters())
        expected[arch] = step(model, images), model.state_dict(), numbers
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone']
    command += [str(ROOT / 'tests' / 'runs' / 'shard.py'), str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for arch, (loss, weights, numbers) in expected.items():
        found = [torch.load(tmp_path / f'{arch}_{rank}.pth') for rank in (0, 1)]
        assert sum(f['loss'] for f in found) / 2 == pytest.approx(loss, rel=1e-5)
        assert found[0]['blocks'] == {'lite_tiny': 8, 'tiny': 14}[arch]
        assert sum(f['own'] for f in found) == numbers  # nothing is held twice
        assert max(f['own'] for f in found) < 0.6 * numbers
        assert found[0]['state_dict'].keys() == weights.keys()
        for name, value in weights.items():
            torch.testing.assert_close(found[0]['state_dict'][name], value, rtol=1e-5, atol=1e-6)


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
    """The arguments of srun, written down by a fake srun."""
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


FAKE_SRUN = """#!/usr/bin/env bash
# Starts the tasks that --ntasks asks for on this machine, as Slurm would.
while [ "$1" != python ]; do
    case $1 in --ntasks=*) tasks=${1#*=} ;; esac
    shift
done
export SLURM_NTASKS=$tasks SLURM_NODELIST=here SLURM_JOB_ID=1
pids=()
trap 'kill -TERM "${pids[@]}"' TERM
for ((rank = 0; rank < tasks; rank++)); do
    SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" &
    pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do wait "$pid"; code=$?; done
    [ "${code:-0}" -gt "$status" ] && status=$code
done
exit "$status"
"""


@pytest.fixture
def slurm(tmp_path):
    """A folder for PATH with srun and scontrol, and the environment of a job of two tasks."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in {'srun': FAKE_SRUN, 'scontrol': '#!/bin/sh\necho 127.0.0.1\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ['PATH']])
    return dict(GPUS='2', OMP_NUM_THREADS='1', PATH=path)


def test_slurm_job(monkeypatch, tmp_path, config, slurm):
    """Two tasks of a faked srun train as one process with twice the batch."""
    one, two = tmp_path / 'one.txt', tmp_path / 'two.txt'
    alone = ['train', with_losses(config, one), '--work-dir', tmp_path / 'alone']
    assert run_tool(monkeypatch, *alone, *options(4)) == 0
    job = ['part', 'job', with_losses(config, two), tmp_path / 'run']
    process = start(*job, *options(2), tool='slurm_train.sh', **slurm)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    assert read(two) == pytest.approx(read(one), abs=1e-5)


def test_slurm_job_that_is_stopped(tmp_path, config, slurm):
    """SIGTERM to srun reaches the tasks: they save and end."""
    run = tmp_path / 'run'
    job = ['part', 'job', config, run, *options(2), 'train_cfg.max_iters=100000']
    process = start(*job, tool='slurm_train.sh', **slurm)
    try:
        wait_for(run / 'iter_2.pth')
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert 'SIGTERM: stopped after iteration ' in output, output[-3000:]
    assert process.returncode == 128 + signal.SIGTERM
    assert len(list(run.glob('iter_*.pth'))) == 1


def test_port_and_threads(tmp_path):
    """What dist_train.sh tells torchrun: a free port, another one each time, and a share of the cores."""
    python = tmp_path / 'python'
    python.write_text(f"""#!/usr/bin/env bash
if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi
echo "$OMP_NUM_THREADS $*"
""")
    python.chmod(0o755)
    ports = set()
    for _ in range(4):
        told = run_dist_train(tmp_path, {})
        assert told.startswith('1 ') or int(told.split()[0]) == len(os.sched_getaffinity(0)) // 2
        (port,) = [word for word in told.split() if word.startswith('--master_port=')]
        assert 1024 <= int(port.partition('=')[2]) < 65536
        ports.add(port)
    assert len(ports) > 1
    several = run_dist_train(tmp_path, dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='host'))
    assert '--nnodes=2 --node_rank=1 --master_addr=host --master_port=29500' in several
    assert '--master_port=7 ' in run_dist_train(tmp_path, dict(PORT='7'))
    assert run_dist_train(tmp_path, dict(OMP_NUM_THREADS='3')).startswith('3 ')


def run_dist_train(folder, more):
    names = ('OMP_NUM_THREADS', 'PORT', 'NNODES', 'NODE_RANK', 'MASTER_ADDR')
    environ = {name: value for name, value in os.environ.items() if name not in names}
    environ |= dict(PATH=f'{folder}:{os.environ["PATH"]}') | more
    command = ['bash', ROOT / 'tools' / 'dist_train.sh', 'config.py', '2']
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    return done.stdout
