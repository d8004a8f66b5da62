"""Bad input is one line and status 2; a few cases of ``tests/campaign/inputs.py``, and faults one by one."""

import errno
import types

import pytest
import torch

from mmcoat import runs
from mmcoat.datasets.synthetic import make_ade20k
from mmcoat.errors import UsageError
from mmcoat.runs.failures import BuildError, DataError, MachineError, explain
from tests.campaign import inputs
from tests.runs.common import segmentation_config

pytest.importorskip('mmseg')
CASES = {
    'train train_cfg.max_iters=-1': 'train_cfg.max_iters must be a whole number from 1, got -1',
    'train train_cfg.val_interval=0': 'train_cfg.val_interval must be a whole number from 1, got 0',
    'train auto_scale_lr.enable=True auto_scale_lr.base_batch_size=-16': 'base_batch_size must be',
    'train train_dataloader.batch_size=0': 'batch_size should be a positive integer value',
    'train optim_wrapper.optimizer.type=Adm': 'optim_wrapper cannot be built',
    'train model.neck.type=FPNN': "type='FPNN' is not known; did you mean 'FPN'?",
    'train model.neck.num_outs=2': 'FPN cannot be built: AssertionError: assert num_outs >=',
    'train model.backbone.in_channels=4': 'the first iteration fails: ValueError: CoaT takes images',
    'train num_classes=3': 'the model has fewer classes than the data set: num_classes 3',
    'train model.test_cfg.mode=slide': "model.test_cfg.crop_size (for mode='slide') must be two",
    'train val_evaluator.iou_metrics=[mIuO]': "iou_metrics has ['mIuO']",
    'config mlp_ratios': "mlp_ratios must be a list of numbers, got '4444'",
    'config huge': 'out of memory, asked for',
    'config frozen': 'nothing in the model learns: all its parameters are frozen',
    'config circle': 'cannot be read: RecursionError',
    'work dir is a file': 'is not a folder: a file of that name exists',
    'test work dir is a file': 'File exists',
    'resume bare.pth': 'these are bare weights',
    'launcher slurm': '--launcher slurm needs SLURM_PROCID, SLURM_NTASKS, SLURM_NODELIST',
    'interval 0': '--interval must be 1 or more, not 0',
    'out is the config': 'name another place or remove them',
    'browse -5': '--number must be 1 or more, got -5',
}


@pytest.fixture(scope='module')
def cases(tmp_path_factory):
    """All cases of the campaign by name, over one config."""
    folder = tmp_path_factory.mktemp('inputs')
    make_ade20k(folder / 'data', train=2, val=1, size=(80, 64), seed=3, overwrite=True)
    good = segmentation_config(folder, folder / 'data', iterations=1)
    found = {name: ['train', good, *options] for name, options in inputs.option_cases()}
    found |= dict(inputs.faulty_configs(folder, good))
    return found | dict(inputs.faulty_files(folder, good))


@pytest.mark.parametrize('name', CASES)
def test_one_line(cases, tmp_path, monkeypatch, name):
    for variable in ('RANK', 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'):
        monkeypatch.delenv(variable, raising=False)
    inputs.add_frozen()
    outcome, line = inputs.run_case(cases[name], tmp_path / 'run')
    assert (outcome, CASES[name] in line) == ('clear', True), line


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ('error', 'kind', 'message'),
    [
        (OSError(errno.ENOSPC, 'No space left on device', 'x.pth'), MachineError, 'No space left'),
        (OSError(errno.EROFS, 'Read-only file system', 'x'), MachineError, '(x)'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), MachineError, 'killed'),
        (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.5 GiB.'), MachineError, '2.5 GiB'),
        (MemoryError(), MachineError, 'out of memory: a smaller'),
        (IndexError('Target 200 is out of bounds.'), DataError, 'holds class 200'),
        (
            ValueError('Caught ValueError in DataLoader worker process 0.\nTraceback\n  x\nValueError: bad'),
            DataError,
            'a sample cannot be loaded: ValueError: bad',
        ),
        (
            UsageError('Caught UsageError in DataLoader worker process 1.\nTrace\nmmcoat.X: sample 3: no'),
            UsageError,
            'sample 3: no',
        ),
    ],
)  # fmt: skip
def test_faults(error, kind, message):
    told = explain(raised(error))
    assert type(told) is kind and message in str(told)
    assert len(str(told).splitlines()) == 1


def test_what_may_be_a_fault_of_the_program_is_left_alone():
    assert explain(raised(ValueError('x'))) is None
    runner = types.SimpleNamespace(work_dir='w', iter=3)
    with pytest.raises(ZeroDivisionError), runs.one_line_faults(runner):
        raise ZeroDivisionError


def test_out_of_memory_says_what_still_stands(tmp_path):
    runner = types.SimpleNamespace(work_dir=str(tmp_path), iter=3)
    with pytest.raises(MachineError, match='no checkpoint in /'), runs.one_line_faults(runner):
        raise MemoryError
    (tmp_path / 'iter_2.pth').write_bytes(b'weights')
    with (
        pytest.raises(MachineError, match=r'checkpoints in /.* are complete'),
        runs.one_line_faults(runner),
    ):
        raise MemoryError


def test_names_of_another_scope():
    from mmseg.registry import MODELS

    with pytest.raises(KeyError) as caught:
        MODELS.build(dict(type='mmcoat.CoaTT'))
    told = explain(caught.value)
    assert isinstance(told, BuildError) and "did you mean 'mmcoat.CoaT'" in str(told)


def test_detector_with_channels_last():
    cfg = runs.load_config(
        str(runs.find_config('mask_rcnn_coat_lite_t_1x_coco.py')),
        {'model.backbone.channels_last': True},
    )
    with pytest.raises(UsageError, match='channels_last=True is not for detectors'):
        runs.checks.check_modes(cfg)


def test_broken_image_is_named(monkeypatch, capfd, tmp_path):
    """In the process itself, and in one that loads."""
    make_ade20k(tmp_path / 'data', train=1, val=1, size=(80, 64), seed=3, overwrite=True)
    (image,) = (tmp_path / 'data/images/training').glob('*.jpg')
    image.write_bytes(b'no image')
    good = segmentation_config(tmp_path, tmp_path / 'data', iterations=1)
    for workers in (0, 1):
        options = ['--cfg-options', f'train_dataloader.num_workers={workers}']
        outcome, line = inputs.run_case(
            ['train', good, '--no-check-data', *options], tmp_path / f'run{workers}'
        )
        assert outcome == 'clear', line
        assert f'sample 0 ({image}) cannot be loaded' in line
