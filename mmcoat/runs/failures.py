"""What goes wrong while a run is built and works, told in one line: the machine, the config, the data."""

import contextlib
import difflib
import errno
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.registry import Registry
from mmengine.runner import Runner

from mmcoat.engine.hooks.finite_loss import image_paths
from mmcoat.errors import UsageError

from .workdir import checkpoint_folder, numbered_checkpoints

_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EIO,
)
_RUNNER = 'mmengine/runner/runner.py'
_EVALUATOR = 'mmengine/evaluator/evaluator.py'
_LOADING = 'torch/utils/data/_utils/fetch.py'
_WORKER = re.compile(r'Caught (\w+) in DataLoader worker process \d+\.')
_TARGET = re.compile(r'Target (-?\d+) is out of bounds')


class MachineError(UsageError):
    """A disk is full or gone, memory is short, or a data loading process was killed."""


class BuildError(UsageError):
    """A part of the config cannot be built."""


class DataError(UsageError):
    """A sample cannot be loaded, or its labels do not fit the model."""


class EvaluationError(UsageError):
    """A validation or test cannot be completed."""


@contextlib.contextmanager
def one_line_faults(runner: Runner) -> Iterator[None]:
    """Turn errors of a training into one line; those of the machine also name the intact checkpoints.

    An error of the model in the very first iteration usually comes from the config: sizes or settings do not
    fit together. A later error keeps its traceback, because a second run may not show it again. An error of
    an evaluation becomes one line: every run would show it again.

    Raises:
        MachineError: The machine failed.
        DataError: A sample or the first iteration failed.
        EvaluationError: The model fails in a validation, or a metric.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        fault = explain(error) or _first_step(runner, error)
        if fault is None:
            raise
        if not isinstance(fault, MachineError | EvaluationError) and runner.iter == 0:
            raise fault from error
        raise type(fault)(f'{fault}; {_advice(runner)}') from error


def _advice(runner: Runner) -> str:
    cfg = getattr(runner, 'cfg', {})
    folder = checkpoint_folder(cfg) if cfg.get('work_dir') else Path(runner.work_dir)
    try:
        saved = any(numbered_checkpoints(folder).values())
    except OSError:  # the disk that holds them
        saved = False
    if not saved:
        return f'no checkpoint in {folder}'
    return f'checkpoints in {folder} are complete; continue with --resume once this is fixed'


def explain(error: BaseException) -> UsageError | None:
    """Return an error as one line for the user, None if it may be a bug in the program."""
    if isinstance(error, UsageError):
        return type(error)(last_line(error)) if _WORKER.match(str(error)) else error
    for look in (_killed_worker, _sample, _memory, _labels, _part, _disk, _evaluation):
        found = look(error)
        if found is not None:
            return found
    return None


def last_line(error: BaseException) -> str:
    """Return what an error says, without the traceback that a data loading process puts into it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ['']
    if _WORKER.match(lines[0]):
        return lines[-1].partition(': ')[2] or lines[-1]
    if isinstance(error, KeyError) and error.args:  # it shows its text in quotes
        return (str(error.args[0]).splitlines() or [''])[0].strip()
    if not lines[0] and error.__traceback__:
        # a bare assert: its condition says more than nothing
        return traceback.extract_tb(error.__traceback__)[-1].line or ''
    return lines[0]


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _disk(error: BaseException) -> UsageError | None:
    if not isinstance(error, OSError) or error.errno not in _DISK:
        return None
    where = f' ({error.filename})' if error.filename else ''
    return MachineError(f'{error.strerror}{where}')


def _killed_worker(error: BaseException) -> UsageError | None:
    if not isinstance(error, RuntimeError) or not str(error).startswith('DataLoader worker'):
        return None
    return MachineError(
        f'{last_line(error).rstrip(".")}: killed, by the system perhaps for lack of memory '
        '(train_dataloader.num_workers)'
    )


def _memory(error: BaseException) -> UsageError | None:
    text = str(error)
    # torch.OutOfMemoryError is CUDA's
    known = 'OutOfMemory' in type(error).__name__ or isinstance(error, MemoryError)
    if not known and "can't allocate memory" not in text:
        return None
    amount = re.search(r'tried to allocate ([\d.]+ ?\w+)', text, re.IGNORECASE)
    asked = f', asked for {amount[1]}' if amount else ''
    return MachineError(
        f'out of memory{asked}: a smaller train_dataloader.batch_size or crop_size, --amp, or '
        'model.backbone.with_cp=True takes less'
    )


def _labels(error: BaseException) -> UsageError | None:
    found = _TARGET.search(str(error)) if isinstance(error, IndexError) else None
    if found is None:
        return None
    return DataError(
        f'a label map holds class {found[1]}, which num_classes does not have: set num_classes, or correct '
        'the maps (reduce_zero_label takes 1 from each label)'
    )


def _sample(error: BaseException) -> UsageError | None:
    """Explain an error of the data pipeline, in this process or in one of the loader's."""
    inside = any(_LOADING in frame.f_code.co_filename for frame in _frames(error))
    worker = _WORKER.match(str(error))
    if not inside and not worker:
        return None
    kind = worker[1] if worker else type(error).__name__
    return DataError(f'a sample cannot be loaded: {kind}: {last_line(error)}')


def _part(error: BaseException) -> UsageError | None:
    """Explain what went wrong while OpenMMLab built a part from the config; name the innermost part."""
    frames = _frames(error)
    building = [frame for frame in frames if frame.f_code.co_name == 'build_from_cfg']
    if not building:
        steps = [f.f_code.co_name for f in frames if f.f_code.co_filename.endswith(_RUNNER)]
        names = [name.removeprefix('build_') for name in steps if name.startswith('build_')]
        if not names:
            return None
        return BuildError(
            f'{names[-1]} cannot be built: {type(error).__name__}: {last_line(error)}'
        )
    local = building[-1].f_locals
    kind = local.get('obj_type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', 'a part of the config')
    if isinstance(kind, str) and local.get('obj_cls') is None:
        near = _nearest(kind, local.get('registry'))
        return BuildError(f'type={kind!r} is not known{near}; or its custom_imports is missing')
    return BuildError(f'{name} cannot be built: {type(error).__name__}: {last_line(error)}')


def _evaluation(error: BaseException) -> UsageError | None:
    """Explain what a model, a metric or the choice of the best checkpoint runs into."""
    every = _frames(error)
    frames = {frame.f_code.co_name: frame for frame in every}
    what = f'{type(error).__name__}: {last_line(error)}'
    if {'val_step', 'test_step'} & set(frames):
        # the training's loop may have a run_iter too, further out
        batch = frames['run_iter'].f_locals.get('data_batch') if 'run_iter' in frames else None
        files = ', '.join(image_paths(batch)) or 'unknown'
        return EvaluationError(f'the model fails in an evaluation: {what}; batch: {files}')
    best = frames.get('_save_best_checkpoint')
    if isinstance(error, KeyError) and best is not None and 'metrics' in best.f_locals:
        given = ', '.join(map(repr, best.f_locals['metrics']))
        return EvaluationError(
            f'default_hooks.checkpoint.save_best={best.f_locals.get("key_indicator")!r} is not among the '
            f'metrics of this evaluation: {given}'
        )
    if not any(f.f_code.co_filename.endswith(_EVALUATOR) for f in every):
        return None
    owners = [type(f.f_locals['self']) for f in every if 'self' in f.f_locals]
    names = [cls.__name__ for cls in owners if issubclass(cls, BaseMetric)] or ['a metric']
    return EvaluationError(f'{names[-1]} fails in the evaluation: {what}')


def _first_step(runner: Runner, error: BaseException) -> UsageError | None:
    inside = any(frame.f_code.co_name == 'train_step' for frame in _frames(error))
    if not inside or runner.iter > 0:
        return None
    return DataError(f'the first iteration fails: {type(error).__name__}: {last_line(error)}')


def _nearest(kind: str, where: Any) -> str:
    """Return the registered names nearest to one that is not."""
    known: set[str] = set()
    while isinstance(where, Registry):
        known |= set(where.module_dict)
        known |= {f'{c.scope}.{name}' for c in where.children.values() for name in c.module_dict}
        where = where.parent
    near = difflib.get_close_matches(kind, known, n=1)
    return f'; did you mean {near[0]!r}?' if near else ''


__all__ = [
    'BuildError',
    'DataError',
    'EvaluationError',
    'MachineError',
    'explain',
    'one_line_faults',
]
