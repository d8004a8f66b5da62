"""The official ImageNet rates, epoch by epoch, as MMEngine's runner sets them."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmcoat.engine import TimmCosineLR
from mmcoat.errors import UsageError
from tests.helpers import ROOT

# the arguments of main.py in the official README's commands: --lr, the batch of 8 GPUs, --min-lr,
# --warmup-lr, --warmup-epochs, --epochs
DEFAULT = dict(lr=5e-4, batch=2048, min_lr=1e-5, warmup_lr=1e-6, warmup_epochs=5, epochs=300)
CLIP = DEFAULT | dict(batch=1024, warmup_epochs=20)
RECIPES = {
    'coat_lite_t': DEFAULT,
    'coat_lite_s': DEFAULT,
    'coat_s': CLIP,
    'coat_lite_m': CLIP,
    'coat_lite_m_384': dict(
        lr=5e-6, batch=256, min_lr=5e-6, warmup_lr=1e-6, warmup_epochs=0, epochs=6
    ),
}
# read off the official formula by hand
FIRST = {
    'coat_lite_s': [1e-6, 1e-6, 4.008e-4, 8.006e-4, 1.2004e-3, 1.6002e-3],
    'coat_lite_m_384': [2.5e-6, 2.5e-6, 2.667468e-6, 3.125e-6, 3.75e-6, 4.375e-6],
}


def official_rates(lr, batch, min_lr, warmup_lr, warmup_epochs, epochs) -> list[float]:
    """The rate of every epoch: main.py's loop around timm 0.3.2's scheduler, acted out."""
    base = lr * batch / 512
    rate = warmup_lr if warmup_epochs else base  # what the scheduler sets when it is built
    rates = []
    for epoch in range(epochs):
        rates.append(rate)  # the epoch is trained with it
        if epoch < warmup_epochs:  # lr_scheduler.step(epoch)
            rate = warmup_lr + epoch * (base - warmup_lr) / warmup_epochs
        else:
            rate = min_lr + 0.5 * (base - min_lr) * (1 + math.cos(math.pi * epoch / epochs))
    return rates


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(1, 1), nn.LayerNorm(1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.layer(inputs).sum())


class KeepRates(Hook):
    """Remember the rates that every epoch is trained with."""

    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        rates = {group['lr'] for group in runner.optim_wrapper.param_groups}
        assert len(rates) == 1, rates
        self.rates.append(rates.pop())


def make_runner(name: str, work_dir, stop: int | None = None, **settings) -> Runner:
    """Build a runner with the config's optimizer and schedule; one picture is an epoch."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}_in1k.py')
    return Runner(
        Model(),
        str(work_dir),
        train_dataloader=dict(
            dataset=[torch.ones(1)], batch_size=1, sampler=dict(type='DefaultSampler')
        ),
        train_cfg=dict(by_epoch=True, max_epochs=stop or cfg.train_cfg.max_epochs),
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        auto_scale_lr=cfg.auto_scale_lr,
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=stop or 1000)),
        log_level='ERROR',
        experiment_name=f'{name}_{stop}_{work_dir.name}_{len(settings)}',
        **settings,
    )


def train(runner: Runner) -> list[float]:
    keep = KeepRates()
    runner.register_hook(keep)
    runner.train()
    return keep.rates


@pytest.mark.parametrize('name', RECIPES)
def test_every_epoch_has_the_official_rate(name, tmp_path):
    expected = official_rates(**RECIPES[name])
    rates = train(make_runner(name, tmp_path))
    assert len(rates) == RECIPES[name]['epochs']
    assert rates == pytest.approx(expected, rel=1e-9)
    first = FIRST.get(name, expected)
    assert rates[: len(first)] == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize(('name', 'stop'), [('coat_lite_s', 3), ('coat_s', 25)])
def test_resumed_runs_go_on_with_the_official_rate(name, stop, tmp_path):
    expected = official_rates(**RECIPES[name])
    before = train(make_runner(name, tmp_path, stop=stop))
    path = tmp_path / f'epoch_{stop}.pth'
    after = train(make_runner(name, tmp_path, load_from=str(path), resume=True))
    assert len(before) == stop
    assert before + after == pytest.approx(expected, rel=1e-9)


def make(**settings) -> TimmCosineLR:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    return TimmCosineLR(optimizer, **{'end': 10, 'warmup': 3} | settings)


def test_a_scaled_rate_keeps_its_ends():
    """Another batch scales the base rate only, as main.py does."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=4e-3)
    scheduler = TimmCosineLR(optimizer, end=300, warmup=5)
    rates = [optimizer.param_groups[0]['lr']]
    for _ in range(299):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]['lr'])
    assert rates == pytest.approx(official_rates(**DEFAULT | dict(batch=4096)), rel=1e-9)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(warmup=10), 'warmup must be in 0..9'),
        (dict(warmup=-1), 'warmup must be in 0..9'),
        (dict(eta_min=-1e-5), 'eta_min must not be negative'),
        (dict(warmup_lr=-1.0), 'warmup_lr must not be negative'),
        (dict(by_epoch=False), 'by epoch'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(UsageError, match=message):
        make(**settings)


def test_registered():
    from mmengine.registry import PARAM_SCHEDULERS

    assert PARAM_SCHEDULERS.get('mmcoat.TimmCosineLR') is TimmCosineLR
