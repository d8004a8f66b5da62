"""The demo: draw a data set, train a real config on it from scratch, evaluate, draw the results."""

import argparse
import contextlib
import io
import logging
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcoat import runs
from mmcoat.datasets.synthetic import colour_baseline_miou, make_ade20k

CONFIG = 'upernet_coat_lite_s_ade20k.py'


@dataclass
class DemoOptions:
    """What the demo may change of the real config, and the size of its data set.

    Args:
        work_dir: Where data, logs, weights and pictures go.
        iterations: Training steps.
        batch_size: Images per step.
        crop: Side of the training crops in pixels.
        image_size: Width and height of the scenes in pixels.
        train_images: Scenes to train on.
        val_images: Scenes to evaluate on; none of them is seen in training.
        lr: Highest learning rate.
        seed: Of scenes and training.
    """

    work_dir: str = 'work_dirs/demo'
    iterations: int = 430
    batch_size: int = 4
    crop: int = 96
    image_size: tuple[int, int] = (160, 128)
    train_images: int = 1000
    val_images: int = 30
    lr: float = 1.2e-3
    seed: int = 0


def run_demo(options: DemoOptions) -> float:
    """Run all steps and return the mIoU over the classes present in the unseen scenes, in [0, 1]."""
    start = time.monotonic()
    work_dir = Path(options.work_dir)
    data_root = draw_data(options, work_dir / 'data')
    runner = build_runner(demo_config(options, data_root))
    history = History(options.iterations)
    runner.register_hook(history, priority='LOWEST')
    say(f'[2/4] Training {CONFIG} from scratch: {describe(runner)}')
    runner.train()
    say('[3/4] Evaluating on scenes that the training has not seen')
    scores = runner.val_evaluator.metrics[0].class_scores
    for name, score in sorted(scores.items(), key=lambda item: -item[1]):
        say(f'      {name:<12} IoU {score:.3f}')
    miou = float(np.mean(list(scores.values())))
    say('[4/4] Drawing')
    from .pictures import draw_curves, draw_scenes

    pictures = work_dir / 'pictures'
    draw_scenes(runner, pictures / 'scenes.png')
    draw_curves(history.losses, history.scores, pictures / 'curves.png')
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    say(
        f'mIoU over the {len(scores)} classes present: {miou:.3f} '
        f'(colour alone gives {colour_baseline_miou(data_root):.3f}); took {minutes} min {seconds} s'
    )
    say(f'Pictures: {pictures / "scenes.png"} and {pictures / "curves.png"}')
    return miou


def draw_data(options: DemoOptions, root: Path) -> Path:
    """Draw the scenes anew and return the folder, in ADE20K's layout."""
    say(f'[1/4] Drawing {options.train_images} + {options.val_images} scenes in {root}')
    make_ade20k(
        root,
        train=options.train_images,
        val=options.val_images,
        size=options.image_size,
        seed=options.seed,
        overwrite=True,
    )
    return root


def demo_config(options: DemoOptions, data_root: Path) -> Config:
    """Return the real config with data root, crop size, batch, schedule and weights overridden."""
    crop, iterations = options.crop, options.iterations
    cfg = runs.load_config(str(runs.find_config(CONFIG)))
    runs.set_data_root(cfg, str(data_root))
    _set_size(cfg, crop, min(options.image_size))
    cfg.merge_from_dict(
        {
            **from_scratch(options),
            'model.data_preprocessor.size': (crop, crop),
            'optim_wrapper.optimizer.lr': options.lr,
            'train_cfg.max_iters': iterations,
            'train_cfg.val_interval': max(1, iterations // 4),
            'default_hooks.checkpoint': dict(
                type='CheckpointHook', by_epoch=False, interval=iterations
            ),
            'default_hooks.logger.interval': 10,
            'randomness': dict(seed=options.seed),
        }
    )
    warmup = max(1, iterations // 20)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=warmup),
        dict(type='PolyLR', eta_min=0.0, power=1.0, begin=warmup, end=iterations, by_epoch=False),
    ]
    for name in ('val_evaluator', 'test_evaluator'):
        cfg[name].type = 'mmcoat.PresentClassIoU'
    runs.fit_to_devices(cfg)
    return cfg


def from_scratch(options: Any) -> dict[str, Any]:
    """Return the overrides that both demos need: no weights, small batches, data read in this process."""
    return {
        'work_dir': str(Path(options.work_dir) / 'run'),
        'model.backbone.init_cfg': None,
        'train_dataloader.batch_size': options.batch_size,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
    }


def add_demo_arguments(parser: argparse.ArgumentParser, default: Any) -> None:
    """Add the options that both demos have, with the values of ``default``."""
    add = parser.add_argument
    add('--work-dir', default=default.work_dir, help='where everything goes')
    add('--iterations', type=int, default=default.iterations, help='training steps')
    add('--batch-size', type=int, default=default.batch_size, help='images a step')
    add('--train-images', type=int, default=default.train_images, help='scenes to train on')
    add('--val-images', type=int, default=default.val_images, help='scenes to evaluate on')
    add('--lr', type=float, default=default.lr, help='highest learning rate')
    add('--seed', type=int, default=default.seed, help='of scenes and training')


def _set_size(cfg: Config, crop: int, short_side: int) -> None:
    for dataset in runs.datasets(cfg):
        for step in dataset.pipeline:
            if step.type in ('RandomResize', 'Resize'):
                step.scale = (short_side * 4, short_side)
            elif step.type == 'RandomCrop':
                step.crop_size = (crop, crop)


def build_runner(cfg: Config) -> Runner:
    """Build the runner with a quiet terminal; the log file in the work dir holds everything."""
    warnings.filterwarnings('ignore', category=UserWarning, module='mm(cv|det|seg|engine)')
    cfg.log_level = 'ERROR'
    with contextlib.redirect_stdout(io.StringIO()):  # OneDL prints that a sibling is not installed
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
        self.scores: list[tuple[int, float]] = []
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
        self.scores.append((len(self.losses), metrics['mIoU_present'] / 100))


def say(text: str, end: str = '\n') -> None:
    """Write to the terminal at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()
