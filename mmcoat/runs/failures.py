"""Report errors of a run in one line: errors of the machine, the config and the data."""

import contextlib
import difflib
import errno
import re
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

from mmengine.registry import Registry
from mmengine.runner import Runner

from mmcoat.errors import UsageError

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
_LOADING = 'torch/utils/data/_utils/fetch.py'
_WORKER = re.compile(r'Caught (\w+) in DataLoader worker process \d+\.')
_TARGET = re.compile(r'Target (-?\d+) is out of bounds')


class MachineError(UsageError):
    """A disk is full or gone, memory is short, or a data loading process was killed."""


class BuildError(UsageError):
    """A part of the config cannot be built."""


class DataError(UsageError):
    """A sample cannot be loaded, or its labels do not fit the model."""


@contextlib.contextmanager
def one_line_faults(runner: Runner) -> Iterator[None]:
    """Turn errors of a training into one line; those of the machine also name the intact checkpoints.

    An error of the model in the very first iteration usually comes from the config: sizes or settings do not
    fit together. A later error keeps its traceback, because a second run may not show it again.

    Raises:
        MachineError: The machine failed.
        DataError: A sample or the first iteration failed.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        fault = explain(error) or _first_step(runner, error)
        if fault is not None and not isinstance(fault, MachineError):
            raise fault from error
        if fault is None:
            raise
        advice = f'checkpoints in {runner.work_dir} are complete; continue with --resume once this is fixed'
        raise MachineError(f'{fault}; {advice}') from error


def explain(error: BaseException) -> UsageError | None:
    """Return an error as one line for the user, None if it may be a bug in the program."""
    if isinstance(error, UsageError):
        return type(error)(last_line(error)) if _WORKER.match(str(error)) else error
    for look in (_killed_worker, _sample, _memory, _labels, _part, _disk):
        found = look(error)
        if found is not None:
            return found
    return None


def last_line(error: BaseException) -> str:
    """Return the message of an error, without the traceback that a data loading process adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ['']
    if _WORKER.match(lines[0]):
        return lines[-1].partition(': ')[2] or lines[-1]
    if isinstance(error, KeyError) and error.args:  # its str() puts the text in quotes
        return (str(error.args[0]).splitlines() or [''])[0].strip()
    if not lines[0] and error.__traceback__:  # an assert without message: show its condition
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
        'the '
        'maps (reduce_zero_label takes 1 from each label)'
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
    """Explain an error in building a part of the config; name the innermost part."""
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


def _first_step(runner: Runner, error: BaseException) -> UsageError | None:
    steps = {'train_step', 'val_step'} & {frame.f_code.co_name for frame in _frames(error)}
    if not steps or runner.iter > 0:
        return None
    return DataError(f'the first iteration fails: {type(error).__name__}: {last_line(error)}')


def _nearest(kind: str, where: Any) -> str:
    """Return the registered names that are nearest to an unknown name."""
    known: set[str] = set()
    while isinstance(where, Registry):
        known |= set(where.module_dict)
        known |= {f'{c.scope}.{name}' for c in where.children.values() for name in c.module_dict}
        where = where.parent
    near = difflib.get_close_matches(kind, known, n=1)
    return f'; did you mean {near[0]!r}?' if near else ''


__all__ = ['BuildError', 'DataError', 'MachineError', 'explain', 'one_line_faults']
