"""What stops an evaluation costs one line, and no checkpoint."""

import shutil
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmcoat.checkpoints import read_checkpoint
from tests.helpers import run_tool
from tests.runs.common import segmentation_config

pytest.importorskip('mmseg')
FAULT = """
custom_imports = dict(imports=['tests.runs.test_evaluation_faults'])
custom_hooks = [dict(type='EvaluationFault', fault={!r})]
"""


@HOOKS.register_module(force=True)
class EvaluationFault(Hook):
    """Break something just before the first validation."""

    def __init__(self, fault):
        self.fault = fault

    def before_val(self, runner):
        self._strike(runner, runner.val_loop)

    def before_test(self, runner):
        self._strike(runner, runner.test_loop)

    def _strike(self, runner, loop):
        [metric] = loop.evaluator.metrics
        if self.fault == 'metric':
            metric.process = lambda *args: metric.results.append(None)
        if self.fault == 'image':
            Path(loop.dataloader.dataset.get_data_info(0)['img_path']).write_bytes(b'')
        if self.fault == 'model':
            runner.model.backbone.forward = lambda x: 1 / 0
        if self.fault == 'folder':
            shutil.rmtree(runner.work_dir)
        if self.fault == 'disk':
            metric.output_dir = '/proc/results'


@pytest.fixture
def data(ade, tmp_path):
    return shutil.copytree(ade, tmp_path / 'ade')


def fails(monkeypatch, capfd, *arguments):
    assert run_tool(monkeypatch, *arguments) == 2
    captured = capfd.readouterr()
    assert 'Traceback' not in captured.out + captured.err
    return captured.err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        ('metric', 'IoUMetric fails in the evaluation: TypeError: '),
        ('image', 'a sample cannot be loaded: '),
        (
            'model',
            'the model fails in an evaluation: ZeroDivisionError: division by zero; batch: /',
        ),
        ('disk', '(/proc/results'),
    ],
)
def test_a_training_keeps_its_checkpoint(monkeypatch, capfd, tmp_path, data, fault, message):
    config = segmentation_config(tmp_path, data, iterations=4, more=FAULT.format(fault))
    line = fails(monkeypatch, capfd, 'train', config, '--work-dir', tmp_path / 'run')
    assert message in line
    assert f'checkpoints in {tmp_path / "run"} are complete; continue with --resume' in line
    assert read_checkpoint(tmp_path / 'run' / 'iter_2.pth')['meta']['iter'] == 2


def test_the_work_dir_is_gone(monkeypatch, capfd, tmp_path, data):
    config = segmentation_config(tmp_path, data, iterations=4, more=FAULT.format('folder'))
    line = fails(monkeypatch, capfd, 'train', config, '--work-dir', tmp_path / 'run')
    assert f'No such file or directory ({tmp_path / "run"}' in line
    assert f'no checkpoint in {tmp_path / "run"}' in line


def test_the_best_of_a_metric_that_is_not_there(monkeypatch, capfd, tmp_path, data):
    more = "default_hooks = dict(checkpoint=dict(save_best='mIuO', rule='greater'))"
    base = segmentation_config(tmp_path, data, iterations=4)
    config = tmp_path / 'best.py'
    config.write_text(f'_base_ = {str(base)!r}\n{more}\n')
    line = fails(monkeypatch, capfd, 'train', config, '--work-dir', tmp_path / 'run')
    assert "save_best='mIuO' is not among the metrics of this evaluation: 'aAcc', 'mIoU', " in line
    assert 'are complete' in line


def test_a_test(monkeypatch, capfd, tmp_path, data):
    base = segmentation_config(
        tmp_path, data, iterations=1, more='val_cfg = val_dataloader = val_evaluator = None'
    )
    assert run_tool(monkeypatch, 'train', base, '--work-dir', tmp_path / 'run') == 0
    weights = tmp_path / 'run' / 'iter_1.pth'
    for fault, message in (('metric', 'IoUMetric fails'), ('model', 'the model fails')):
        config = tmp_path / f'{fault}.py'
        config.write_text(f'_base_ = {str(base)!r}\n{FAULT.format(fault)}')
        line = fails(monkeypatch, capfd, 'test', config, weights, '--work-dir', tmp_path / fault)
        assert f'{message} in ' in line
