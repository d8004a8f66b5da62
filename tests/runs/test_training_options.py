"""Gradient accumulation, the moving average and mixed precision, each with CoaT: resulting weights."""

import pytest
import torch

from mmcoat.checkpoints import read_checkpoint
from tests.helpers import run_tool
from tests.runs.common import differences, segmentation_config

pytest.importorskip('mmseg')
PLAIN = """
model['backbone']['drop_path_rate'] = 0.0
model['decode_head'] = dict(dropout_ratio=0.0, norm_cfg=dict(type='GN', num_groups=8))
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
param_scheduler = []
val_cfg = val_dataloader = val_evaluator = None
randomness = dict(seed=7)
default_hooks['checkpoint'].update(interval=1, max_keep_ckpts=-1)
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory, ade):
    """Without drop path and batch statistics: two halves of a batch are the batch."""
    folder = tmp_path_factory.mktemp('configs')
    return segmentation_config(folder, ade, iterations=2, more=PLAIN)


def train(monkeypatch, config, folder, *options, flags=()):
    settings = ['--cfg-options', *options] if options else []
    arguments = ['train', config, '--work-dir', folder, *flags, *settings]
    assert run_tool(monkeypatch, *arguments) == 0


def weights(path, key='state_dict'):
    return read_checkpoint(path)[key]


@pytest.fixture(scope='module')
def plain(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp('plain')
    with pytest.MonkeyPatch.context() as monkeypatch:
        train(monkeypatch, config, folder)
    return folder


def distance(one, other):
    """Return the largest difference, and the names in which there is one."""
    differing = {k: (one[k].float() - other[k].float()).abs().max().item() for k in other}
    return max(differing.values()), [k for k, v in differing.items() if v > 0]


def test_accumulation(monkeypatch, tmp_path, config):
    """Two batches of 2 with one step are one batch of 4."""
    joint = ['train_dataloader.batch_size=4', 'train_cfg.max_iters=1']
    train(monkeypatch, config, tmp_path / 'one', *joint)
    train(monkeypatch, config, tmp_path / 'two', 'optim_wrapper.accumulative_counts=2')
    first, one, two = (
        weights(tmp_path / name) for name in ('two/iter_1.pth', 'one/iter_1.pth', 'two/iter_2.pth')
    )
    largest, moved = distance(one, first)  # without a step yet
    assert largest > 1e-3 and len(moved) > 100
    assert distance(one, two)[0] < 1e-5


def test_moving_average(monkeypatch, tmp_path, config, plain):
    """The average is the formula's; the weights below it are those of a run without; it resumes bitwise."""
    own = tmp_path / 'ema.py'
    own.write_text(
        f"_base_ = {str(config)!r}\ncustom_hooks = [dict(type='EMAHook', momentum=0.25)]\n"
    )
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    train(monkeypatch, own, whole)
    after = [weights(plain / f'iter_{n}.pth') for n in (1, 2)]
    trained = weights(
        whole / 'iter_2.pth', 'ema_state_dict'
    )  # MMEngine keeps the two the other way round
    average = weights(whole / 'iter_2.pth')
    names = [k for k in after[0] if k.startswith('backbone.')]
    for name in names:
        assert torch.equal(trained[f'module.{name}'], after[1][name])
        expected = 0.75 * after[0][name] + 0.25 * after[1][name]
        torch.testing.assert_close(average[name], expected, rtol=1e-5, atol=1e-7)
    assert distance(average, after[1])[0] > 1e-4
    train(monkeypatch, own, broken, 'train_cfg.max_iters=1')
    train(monkeypatch, own, broken, flags=['--resume'])
    assert differences(whole / 'iter_2.pth', broken / 'iter_2.pth') == []


def test_mixed_precision_without_a_gpu(monkeypatch, tmp_path, config, plain):
    """bfloat16 inside, float32 weights; a step close to float32's, but not the same."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    train(monkeypatch, config, tmp_path, flags=['--amp'])
    start = {k: v for k, v in weights(plain / 'iter_1.pth').items() if k.startswith('backbone.')}
    amp, full = (weights(folder / 'iter_2.pth') for folder in (tmp_path, plain))
    assert {value.dtype for value in amp.values()} == {torch.float32}
    moved = {k: (full[k] - start[k]).norm().item() for k in start}
    apart = {k: (full[k] - amp[k]).norm().item() for k in start}
    assert 0 < sum(apart.values()) < 0.2 * sum(moved.values())
