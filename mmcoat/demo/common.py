"""Code that all demos share: draw a data set, train a real config on it from scratch, evaluate, draw."""

import argparse
import contextlib
import io
import logging
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcoat import runs
from mmcoat.errors import UsageError

from .pictures import draw_attention, draw_curves


@dataclass
class DemoOptions:
    """The settings of a demo's config that may change, and the size of its data set.

    Args:
        work_dir: Where data, logs, weights and pictures go.
        iterations: Training steps.
        batch_size: Images per step.
        train_images: Scenes to train on.
        val_images: Scenes to evaluate on; they are not in the training set.
        lr: Highest learning rate.
        seed: Seed of scenes and training.
    """

    work_dir: str
    iterations: int
    batch_size: int
    train_images: int
    val_images: int
    lr: float
    seed: int = 0

    def check(self) -> None:
        """Raise a UsageError for invalid training options; the others are checked when scenes are drawn."""
        for name in ('iterations', 'batch_size', 'lr'):
            if getattr(self, name) <= 0:
                raise UsageError(f'{name} must be above 0, got {getattr(self, name)}')


def add_demo_arguments(parser: argparse.ArgumentParser, default: DemoOptions) -> None:
    """Add the options that all demos have, with the values of ``default``."""
    add = parser.add_argument
    add('--work-dir', default=default.work_dir, help='where everything goes')
    add('--iterations', type=int, default=default.iterations, help='training steps')
    add('--batch-size', type=int, default=default.batch_size, help='images a step')
    add('--train-images', type=int, default=default.train_images, help='scenes to train on')
    add('--val-images', type=int, default=default.val_images, help='scenes to evaluate on')
    add('--lr', type=float, default=default.lr, help='highest learning rate')
    add('--seed', type=int, default=default.seed, help='of scenes and training')


class Demo:
    """One demo; subclasses define the differences between the tasks.

    Args:
        options: Sizes and schedule.
    """

    config_name: str
    warmup_part: int  # the warm-up is one step in this many
    draw_scenes: Callable[[Runner, Path], None]  # predictions beside the truth

    def __init__(self, options: DemoOptions) -> None:
        options.check()
        self.options = options
        self.data_root = Path(options.work_dir) / 'data'
        self.run_dir = Path(options.work_dir) / 'run'
        self.pictures = Path(options.work_dir) / 'pictures'

    def draw_data(self) -> None:
        """Draw the scenes again in ``data_root``."""
        raise NotImplementedError

    def adapt(self, cfg: Config) -> None:
        """Override the settings that only this task's config has: sizes and evaluation."""
        raise NotImplementedError

    def evaluate(self, runner: Runner) -> dict[str, float]:
        """Return the scores on the unseen scenes, each in [0, 1]."""
        raise NotImplementedError

    def summary(self, scores: dict[str, float]) -> str:
        """Return the scores in words."""
        raise NotImplementedError

    def example(self) -> Path:
        """Return an image with objects that was not in the training."""
        raise NotImplementedError

    def pixel(self) -> tuple[int, int] | None:
        """Return the pixel (x, y) of the example whose attention is drawn; None for the middle."""
        return None

    def config(self) -> Config:
        """Return the real config with data root, sizes, batch, schedule and weights overridden."""
        options, iterations = self.options, self.options.iterations
        cfg = runs.load_config(str(runs.find_config(self.config_name)))
        runs.set_data_root(cfg, str(self.data_root))
        in_this_process = {'num_workers': 0, 'persistent_workers': False}
        checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=iterations)
        cfg.merge_from_dict(
            {
                'work_dir': str(self.run_dir),
                'model.backbone.init_cfg': None,
                'train_dataloader': {'batch_size': options.batch_size, **in_this_process},
                'val_dataloader': in_this_process,
                'optim_wrapper.optimizer.lr': options.lr,
                'default_hooks.checkpoint': checkpoint,
                'default_hooks.logger.interval': 10,
                'randomness': dict(seed=options.seed),
            }
        )
        warmup = max(1, iterations // self.warmup_part)
        up = dict(type='LinearLR', start_factor=0.05, begin=0, end=warmup)
        down = dict(type='PolyLR', eta_min=0.0, power=1.0, begin=warmup, end=iterations)
        cfg.param_scheduler = [dict(scheduler, by_epoch=False) for scheduler in (up, down)]
        self.adapt(cfg)
        runs.fit_to_devices(cfg)
        return cfg

    def use(self) -> str:
        """Return the command that runs the trained model on one image."""
        checkpoint = self.run_dir / f'iter_{self.options.iterations}.pth'
        paths = (_tool('infer.py'), self.run_dir / self.config_name, checkpoint, self.example())
        out = Path(self.options.work_dir) / 'inference'
        command = [sys.executable, *paths, '--out-dir', out]
        return shlex.join(_short(part) for part in command)


def run_demo(demo: Demo) -> dict[str, float]:
    """Run all steps of a demo and return its scores."""
    start, options = time.monotonic(), demo.options
    say(f'[1/4] Drawing {options.train_images} + {options.val_images} scenes in {demo.data_root}')
    demo.draw_data()
    runner = build_runner(demo.config())
    history = History(options.iterations)
    runner.register_hook(history, priority='LOWEST')
    say(f'[2/4] Training {demo.config_name} from scratch: {describe(runner)}')
    runner.train()
    say('[3/4] Evaluating on scenes that the training has not seen')
    scores = demo.evaluate(runner)
    say('[4/4] Drawing')
    pictures = [demo.pictures / f'{name}.png' for name in ('scenes', 'curves', 'attention')]
    demo.draw_scenes(runner, pictures[0])
    draw_curves(history.losses, history.scores, pictures[1])
    draw_attention(runner, demo.example(), demo.pixel(), pictures[2])
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    say(f'{demo.summary(scores)}; took {minutes} min {seconds} s')
    say(f'Pictures: {pictures[0]}, {pictures[1]} and {pictures[2]}')
    say(f'Its model on one image:\n{demo.use()}')
    return scores


def build_runner(cfg: Config) -> Runner:
    """Build the runner with a quiet terminal; the log file in the work dir holds everything."""
    warnings.filterwarnings('ignore', category=UserWarning, module='mm(cv|det|seg|engine)')
    cfg.log_level = 'ERROR'
    with contextlib.redirect_stdout(io.StringIO()):  # OneDL prints which packages are missing
        runner = Runner.from_cfg(cfg)
        _ = runner.train_loop, runner.val_loop  # builds the data sets
    runner.logger.setLevel(logging.INFO)
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.INFO)
    return runner


def describe(runner: Runner) -> str:
    """Return the model's size and device in words."""
    parameters = sum(p.numel() for p in runner.model.parameters()) / 1e6
    device = next(runner.model.parameters()).device
    return f'{parameters:.1f} M parameters on {device}'


class History(Hook):
    """Keep losses and scores, and show progress and the time left.

    Args:
        iterations: Training steps in all.
    """

    def __init__(self, iterations: int):
        self.iterations = iterations
        self.losses: list[float] = []
        self.scores: list[tuple[int, float]] = []  # (step, mIoU), if it is measured in training
        self.start = 0.0

    def before_train(self, runner: Runner) -> None:
        self.start = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        self.losses.append(outputs['loss'].item())
        done = len(self.losses)
        left = (time.monotonic() - self.start) / done * (self.iterations - done)
        live = sys.stdout.isatty()
        if live or done % 10 == 0 or done == self.iterations:
            score = f'  mIoU {self.scores[-1][1]:.3f}' if self.scores else ''
            line = (
                f'      {done}/{self.iterations}  loss {np.mean(self.losses[-10:]):.3f}{score}'
                f'  {int(left) // 60}:{int(left) % 60:02d} left'
            )
            say('\r' + line.ljust(70), end='' if live and done < self.iterations else '\n')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if 'mIoU_present' in metrics:
            self.scores.append((len(self.losses), metrics['mIoU_present'] / 100))


def say(text: str, end: str = '\n') -> None:
    """Write to the terminal immediately."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def _tool(name: str) -> Path:
    """Return the path of a tool of this package, in the checkout or in an installed copy."""
    package = Path(__file__).parent.parent
    folders = package.parent / 'tools', package / '.mim' / 'tools'
    return next((folder for folder in folders if (folder / name).is_file()), folders[0]) / name


def _short(path: str | Path) -> str:
    """Return a path below the current folder relative to it, and any other path unchanged."""
    text, here = str(path), os.getcwd() + os.sep
    return text.removeprefix(here)
