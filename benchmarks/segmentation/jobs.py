"""Runs in separate processes: tools/train.py and tools/test.py, each at most once for a result."""

import copy
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcoat.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SCORES = 'scores.json'
PROBE = 12  # iterations of the run that measures a config's speed; the first third is warm-up


def train(cfg: Config, folder: Path, gpus: int) -> None:
    """Train in ``folder``; continue where an earlier call stopped."""
    if (folder / f'iter_{cfg.train_cfg.max_iters}.pth').is_file():
        return
    path = write_config(cfg, folder)
    arguments = [str(path), '--work-dir', str(folder), '--resume', 'auto-or-new']
    call('train', arguments, folder, gpus)


def test(cfg: Config, folder: Path) -> dict[str, float]:
    """Test the result of :func:`train` in ``folder`` once, and return the metrics in percent."""
    scores = folder / SCORES
    if not scores.is_file():
        checkpoint = folder / f'iter_{cfg.train_cfg.max_iters}.pth'
        place = folder / 'test'
        arguments = [str(write_config(cfg, folder)), str(checkpoint), '--work-dir', str(place)]
        call('test', arguments, folder)
        found = sorted(place.glob('*/*.json'), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UsageError(f'{place} holds no metrics: see {folder / "test.log"}')
        part = scores.with_suffix('.part')
        part.write_text(found[-1].read_text())
        part.replace(scores)
    return json.loads(scores.read_text())


def seconds_per_iteration(cfg: Config, folder: Path, gpus: int) -> float:
    """Return the time of one iteration of a config, measured once in a short run."""
    note = folder / 'speed.json'
    if not note.is_file():
        cfg = copy.deepcopy(cfg)
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=PROBE, val_interval=10 * PROBE)
        cfg.default_hooks.logger.interval = 1
        cfg.default_hooks.checkpoint.interval = 10 * PROBE
        cfg.log_processor.window_size = 1
        cfg.param_scheduler = None
        arguments = [str(write_config(cfg, folder)), '--work-dir', str(folder), '--overwrite']
        call('train', arguments, folder, gpus)
        times = sorted(row['time'] for row in log_rows(folder) if 'time' in row)[: -PROBE // 3]
        note.write_text(json.dumps(dict(seconds=times[len(times) // 2])))
    return json.loads(note.read_text())['seconds']


def iterations_for(minutes: float, seconds: float) -> int:
    """Return how many iterations fit into a number of minutes, at least one."""
    return max(1, math.floor(60 * minutes / seconds))


def write_config(cfg: Config, folder: Path) -> Path:
    """Write the whole config of a run into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'config.py'
    cfg.dump(str(path))
    return path


def call(tool: str, arguments: list[str], folder: Path, gpus: int = 1) -> None:
    """Run a tool of the checkout; its output goes to ``<tool>.log`` in ``folder``.

    Raises:
        UsageError: It failed; the message holds its last line.
    """
    command = [sys.executable, str(ROOT / 'tools' / f'{tool}.py'), *arguments]
    if gpus > 1:
        launch = ['-m', 'torch.distributed.run', f'--nproc_per_node={gpus}', '--standalone']
        command = [sys.executable, *launch, *command[1:], '--launcher', 'pytorch']
    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    environment = os.environ | dict(PYTHONPATH=os.pathsep.join(paths))
    log = folder / f'{tool}.log'
    with log.open('a') as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    if done.returncode:
        last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
        raise UsageError(f'{tool}.py failed with {done.returncode}: {" ".join(last)[:300]} ({log})')


def log_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the logged lines of all runs in a folder, oldest run first."""
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        if path.parts[-4] == 'test':
            continue
        for line in path.read_text().splitlines():
            yield json.loads(line)
