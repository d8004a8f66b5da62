"""Continue a run where it stopped: from its newest complete checkpoint, with its own seed."""

import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmcoat import checkpoints
from mmcoat.checkpoints.atomic import remove_drafts
from mmcoat.errors import UsageError

from . import workdir

_LOOPS = ('EpochBasedTrainLoop', 'IterBasedTrainLoop')
_STATE = ('meta', 'message_hub', 'optimizer')
AUTO, AUTO_OR_NEW = 'auto', 'auto-or-new'


class ResumeError(UsageError):
    """There is nothing to resume, or not the requested checkpoint."""


def protect(cfg: Config) -> None:
    """Add hooks and resumable loops to any config, so that the training can be interrupted safely.

    The config's own settings have priority: ``default_hooks.finite_loss=None`` leaves that hook out.
    """
    if not cfg.get('default_hooks'):
        cfg.default_hooks = {}
    hooks = cfg.default_hooks
    hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
    if hooks.checkpoint and hooks.checkpoint.get('type', 'CheckpointHook') == 'CheckpointHook':
        hooks.checkpoint.type = 'mmcoat.CheckpointHook'
    hooks.setdefault('check_weights', dict(type='mmcoat.CheckWeightsHook'))
    hooks.setdefault('finite_loss', dict(type='mmcoat.FiniteLossHook'))
    hooks.setdefault('stop_signal', dict(type='mmcoat.StopSignalHook'))
    loop = cfg.get('train_cfg')
    if loop and 'by_epoch' in loop:
        loop['type'] = _LOOPS[0] if loop.pop('by_epoch') else _LOOPS[1]
    if loop and loop.get('type') in _LOOPS:
        loop['type'] = f'mmcoat.{loop["type"]}'


def set_resume(cfg: Config, resume: str | None, overwrite: bool = False) -> None:
    """Decide where the run starts from; call it while the work dir is locked.

    Args:
        resume: A checkpoint; 'auto' for the newest complete one of this run; 'auto-or-new' to start a new run
            if there is none; None for the config's ``resume`` and ``load_from``.
        overwrite: Delete an earlier run's checkpoints.

    Raises:
        ResumeError: There is nothing to resume, a file has no training state, or options contradict each
            other.
        WorkDirError: The run is new, but the work dir is used.
        CheckpointError: The checkpoint cannot be read.
    """
    folder = workdir.checkpoint_folder(cfg)
    if resume is None and cfg.get('resume'):
        resume = cfg.get('load_from') or AUTO
    if resume and overwrite:
        raise ResumeError(
            '--overwrite starts a new run and --resume continues one: give only one of them'
        )
    if workdir.is_first_process():
        remove_drafts(cfg.work_dir)
        remove_drafts(folder)
        if overwrite:
            workdir.delete_checkpoints(folder)
    found = _find(folder, resume)
    cfg.resume = found is not None
    if found is None:
        if workdir.is_first_process() and resume != AUTO_OR_NEW:
            workdir.refuse_used(folder)
        return
    path, state = found
    if path.parent.resolve() != folder.resolve() and workdir.is_first_process():
        workdir.refuse_used(folder)
    cfg.load_from = str(path)
    _keep_seed(cfg, state)


def _find(folder: Path, resume: str | None) -> tuple[Path, dict[str, Any]] | None:
    if resume is None:
        return None
    if resume not in (AUTO, AUTO_OR_NEW):
        path = Path(checkpoints.ensure_safe(resume))
        return path, _training_state(path)
    found = newest(folder)
    if found is None and resume == AUTO:
        raise ResumeError(
            f'nothing to resume in {folder}: it holds no whole checkpoint; leave --resume out, or give '
            '--resume auto-or-new in job scripts'
        )
    return found


def newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest complete checkpoint of a folder and its content; log one line for each damaged one.

    The file ``last_checkpoint`` is not used, because it can name a file that is missing or truncated.
    """
    found = []
    for paths in workdir.numbered_checkpoints(folder).values():
        for path in paths:
            try:
                found.append((path, _training_state(path)))
                break
            except UsageError as error:
                print_log(f'skipped: {error}', logger='current', level=logging.WARNING)
    # at the same iteration, take the one with the higher epoch
    return max(found, key=lambda pair: _progress(pair[1]), default=None)


def _progress(state: dict[str, Any]) -> tuple[int, int]:
    return state['meta'].get('iter', 0), state['meta'].get('epoch', 0)


def _training_state(path: Path) -> dict[str, Any]:
    state = checkpoints.read_checkpoint(path)
    missing = [key for key in _STATE if key not in state]
    if missing:
        raise ResumeError(
            f'{path} cannot be resumed, it holds no {missing[0]}: these are bare weights; to start from '
            f'them, give --cfg-options load_from={path}'
        )
    return state


def _keep_seed(cfg: Config, state: dict[str, Any]) -> None:
    """Set the run's own seed before any random draw; data order and random state depend on it."""
    seed = state['meta'].get('seed')
    randomness = dict(cfg.get('randomness') or {})
    asked = randomness.get('seed')
    if seed is None or asked == seed:
        return
    if asked is not None:
        print_log(
            f'randomness.seed={asked} is not used: the run that is resumed has seed {seed}',
            logger='current',
            level=logging.WARNING,
        )
    cfg.randomness = dict(randomness, seed=seed)
