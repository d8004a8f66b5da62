"""Kill a training at random moments, resume it each time, and compare its end with a run left alone.

    python -m tests.campaign.kill --kills 20
    python -m tests.campaign.kill --kills 20 --task detection

Run it with the interpreter of either line.
The exit status is 0 if weights, optimizer state and best checkpoint are bitwise equal, 1 if not.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmcoat.datasets.synthetic import make_ade20k, make_coco
from mmcoat.runs.resume import newest
from tests.runs.common import detection_config, differences, segmentation_config, start

LOST = 1.0  # iterations that a kill takes back, on average: there is a checkpoint every 2
CONFIG = """
custom_imports = dict(imports=['tests.runs.common', 'tests.campaign.kill'])
custom_hooks = [dict(type='PhaseHook')]
randomness = dict(seed=7)
"""


@HOOKS.register_module(force=True)
class PhaseHook(Hook):
    """Write down what the training is at, for the report."""

    priority = 'HIGHEST'

    def _write(self, runner: Any, phase: str) -> None:
        Path(runner.work_dir, 'phase').write_text(phase)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self._write(runner, 'step')

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        self._write(runner, 'save')

    def before_val(self, runner: Any) -> None:
        self._write(runner, 'evaluation')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=['segmentation', 'detection'], default='segmentation')
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--iterations', type=int, default=60)
    parser.add_argument('--workers', type=int, default=2, help='data loading processes')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    return parser.parse_args()


def train(config: Path, work_dir: Path, workers: int) -> subprocess.Popen:
    options = ['--cfg-options', f'train_dataloader.num_workers={workers}']
    return start(config, '--work-dir', work_dir, '--resume', 'auto-or-new', *options)


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f'the training ended with {process.returncode}:\n{output[-3000:]}')


def wait_for_step(process: subprocess.Popen, phase: Path) -> None:
    while (not phase.exists() or phase.read_text() == 'start') and process.poll() is None:
        time.sleep(0.01)


def measure(process: subprocess.Popen, phase: Path) -> float:
    """Return how many seconds a training takes from its first step to its end."""
    phase.parent.mkdir(exist_ok=True)
    phase.write_text('start')
    wait_for_step(process, phase)
    begin = time.monotonic()
    finish(process)
    return time.monotonic() - begin


def kill_at_random(process: subprocess.Popen, phase: Path, longest: float) -> str | None:
    """Kill a training at most ``longest`` seconds after its first step, one time in eight before it.

    Returns:
        What it was doing, None if it ended.
    """
    phase.write_text('start')
    if random.random() >= 1 / 8:
        wait_for_step(process, phase)
    time.sleep(random.uniform(0, longest))
    if process.poll() is not None:
        finish(process)
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return phase.read_text() or 'step'


def make_config(args: argparse.Namespace, folder: Path) -> Path:
    """Draw the data and write the config of the training to kill."""
    data = folder / 'data'
    if args.task == 'detection':
        make_coco(data, train=6, val=2, size=(96, 96), seed=5, overwrite=True)
        return detection_config(folder, data, iterations=args.iterations, more=CONFIG)
    make_ade20k(data, train=6, val=2, size=(80, 64), seed=3, overwrite=True)
    return segmentation_config(folder, data, iterations=args.iterations, more=CONFIG)


def campaign(args: argparse.Namespace, folder: Path) -> bool:
    """Run both trainings and return whether their ends are equal."""
    random.seed(args.seed)
    config = make_config(args, folder)
    whole, broken = folder / 'whole', folder / 'broken'
    pace = measure(train(config, whole, 0), whole / 'phase') / args.iterations
    broken.mkdir()
    struck: Counter[str] = Counter()
    done = 0
    while struck.total() < args.kills:
        # so that the kills are spread over the whole run
        share = (args.iterations - done) / (args.kills - struck.total() + 1) + LOST
        process = train(config, broken, args.workers)
        phase = kill_at_random(process, broken / 'phase', 2 * share * pace)
        if phase is None:
            break
        struck[phase] += 1
        stand = newest(broken)
        done = stand[1]['meta']['iter'] if stand else 0
        print(f'kill {struck.total()} in: {phase}; newest whole: iteration {done}', flush=True)
    finish(train(config, broken, args.workers))
    last = f'iter_{args.iterations}.pth'
    different = differences(whole / last, broken / last)
    best = [sorted(path.name for path in run.glob('best_*.pth')) for run in (whole, broken)]
    equal = not different and best[0] == best[1]
    print(f'{struck.total()} kills, in: {dict(struck)}; best: {best[0]} and {best[1]}')
    print('the ends are bitwise equal' if equal else f'they differ: {different[:5]}')
    return equal


def main() -> int:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if campaign(args, Path(folder)) else 1


if __name__ == '__main__':
    sys.exit(main())
