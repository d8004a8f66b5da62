"""An interrupted and resumed run is bitwise equal to an uninterrupted one."""

import signal

import pytest

from mmcoat.checkpoints import read_checkpoint
from tests.helpers import run_tool
from tests.runs.common import (
    detection_config,
    differences,
    segmentation_config,
    start,
    with_fault,
)

pytest.importorskip('mmseg')
SEED = ['--cfg-options', 'randomness.seed=7']


@pytest.fixture(scope='module')
def by_iteration(tmp_path_factory, ade):
    return segmentation_config(tmp_path_factory.mktemp('configs'), ade)


@pytest.fixture(scope='module')
def by_epoch(tmp_path_factory, ade):
    return segmentation_config(tmp_path_factory.mktemp('configs'), ade, epochs=2)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, by_iteration):
    """The work dir of a run that nothing interrupted, without loading processes."""
    folder = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run_tool(monkeypatch, 'train', by_iteration, '--work-dir', folder, *SEED) == 0
    return folder


@pytest.mark.parametrize('workers', [0, 2])
def test_killed_by_iteration(monkeypatch, tmp_path, by_iteration, whole, workers):
    """SIGKILL in iteration 5: it goes on from 4, past the end of the data; 2 workers or none are the same."""
    broken = tmp_path / 'broken'
    loaders = f'train_dataloader.num_workers={workers}'
    fault = with_fault(by_iteration, 4, 'SIGKILL')
    process = start(fault, '--work-dir', broken, *SEED, loaders)
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    assert [path.name for path in broken.glob('iter_*.pth')] == ['iter_4.pth']
    resume = ['train', by_iteration, '--work-dir', broken, '--resume', *SEED, loaders]
    assert run_tool(monkeypatch, *resume) == 0
    assert differences(whole / 'iter_6.pth', broken / 'iter_6.pth') == []
    best = {folder: [path.name for path in folder.glob('best_*')] for folder in (whole, broken)}
    assert best[whole] == best[broken]


def test_another_seed_is_another_run(monkeypatch, tmp_path, by_iteration, whole):
    """The comparison above can fail."""
    options = ['--work-dir', tmp_path, '--cfg-options', 'randomness.seed=8']
    assert run_tool(monkeypatch, 'train', by_iteration, *options) == 0
    assert len(differences(whole / 'iter_6.pth', tmp_path / 'iter_6.pth')) > 100


@pytest.mark.parametrize(('fault', 'status'), [('SIGTERM', 143), ('SIGINT', 130)])
def test_stopped_inside_an_epoch(monkeypatch, tmp_path, by_epoch, fault, status, capfd):
    """3 batches an epoch, stopped after the second batch of the second epoch."""
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    # no seed: the run draws one, and keeps it
    arguments = ['--work-dir', broken, '--cfg-options', 'train_dataloader.num_workers=2']
    assert run_tool(monkeypatch, 'train', with_fault(by_epoch, 4, fault), *arguments) == status
    assert 'stopped after iteration 5, saved' in capfd.readouterr().out
    assert {path.name for path in broken.glob('[ei]*_*.pth')} == {'epoch_1.pth', 'iter_5.pth'}
    assert run_tool(monkeypatch, 'train', by_epoch, '--resume', *arguments) == 0
    assert [path.name for path in broken.glob('[ei]*_*.pth')] == ['epoch_2.pth']
    seed = read_checkpoint(broken / 'epoch_2.pth')['meta']['seed']
    options = ['--work-dir', whole, '--cfg-options', f'randomness.seed={seed}']
    assert run_tool(monkeypatch, 'train', by_epoch, *options) == 0
    assert differences(whole / 'epoch_2.pth', broken / 'epoch_2.pth') == []


def test_stopped_inside_a_validation(monkeypatch, tmp_path, by_iteration, whole):
    """The interrupted validation is repeated: the best checkpoint is the same."""
    broken = tmp_path / 'broken'
    stop = with_fault(by_iteration, 3, 'SIGTERM', place='val')
    assert run_tool(monkeypatch, 'train', stop, '--work-dir', broken, *SEED) == 143
    assert not list(broken.glob('best_*'))
    assert (broken / 'iter_3.pth').is_file()
    resume = ['train', by_iteration, '--work-dir', broken, '--resume', *SEED]
    assert run_tool(monkeypatch, *resume) == 0
    assert differences(whole / 'iter_6.pth', broken / 'iter_6.pth') == []
    names = [sorted(path.name for path in folder.glob('best_*')) for folder in (whole, broken)]
    assert names[0] == names[1] and names[0]


def test_detection(monkeypatch, tmp_path, coco):
    """Mask R-CNN, killed in the second epoch, with random scales, flips, sampled anchors and drop path."""
    pytest.importorskip('mmdet.models')
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    config = detection_config(tmp_path, coco)
    process = start(with_fault(config, 4, 'SIGKILL'), '--work-dir', broken, *SEED)
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output
    assert [path.name for path in broken.glob('epoch_*.pth')] == ['epoch_1.pth']
    resume = ['train', config, '--work-dir', broken, '--resume', *SEED]
    assert run_tool(monkeypatch, *resume, 'train_dataloader.num_workers=2') == 0
    assert run_tool(monkeypatch, 'train', config, '--work-dir', whole, *SEED) == 0
    assert differences(whole / 'epoch_2.pth', broken / 'epoch_2.pth') == []
    names = [sorted(path.name for path in folder.glob('best_*')) for folder in (whole, broken)]
    assert names[0] == names[1]
