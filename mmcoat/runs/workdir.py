"""A work dir belongs to one run at a time, and a new run does not overwrite an old one."""

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcoat.errors import UsageError

_LOCK = '.lock'
_NUMBERED = re.compile(r'(?P<kind>.*?)(?P<number>\d+)\.pth')


class WorkDirError(UsageError):
    """The work dir cannot be used for this run."""


def is_first_process() -> bool:
    """Return whether this process is the one that writes; works before a process group exists."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def checkpoint_folder(cfg: Config) -> Path:
    """Return the checkpoint hook's folder: the work dir, or a folder of the same name elsewhere."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    out_dir = hook.get('out_dir')
    if out_dir and Path(out_dir) != Path(cfg.work_dir):
        return Path(out_dir, Path(cfg.work_dir).name)
    return Path(cfg.work_dir)


def numbered_checkpoints(folder: Path) -> dict[str, list[Path]]:
    """Return the regular checkpoints of a folder by kind ('iter_', 'epoch_'), newest first in each kind."""
    kinds: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob('*.pth') if folder.is_dir() else ():
        match = _NUMBERED.fullmatch(path.name)
        if match and path.is_file() and not path.name.startswith('best_'):
            kinds.setdefault(match['kind'], []).append((int(match['number']), path))
    return {kind: [path for _, path in sorted(found)[::-1]] for kind, found in kinds.items()}


def refuse_used(folder: Path) -> None:
    """Refuse a folder that holds an earlier run's checkpoints.

    Raises:
        WorkDirError: The folder has such checkpoints.
    """
    found = [path.name for paths in numbered_checkpoints(folder).values() for path in paths]
    if found:
        raise WorkDirError(
            f'{folder} holds checkpoints of an earlier run ({found[0]}): continue with --resume, choose '
            'another --work-dir, or start a new run with --overwrite, which deletes them'
        )


def delete_checkpoints(folder: Path) -> None:
    """Delete an earlier run's checkpoints: regular ones, best ones and the pointer; logs stay."""
    for paths in numbered_checkpoints(folder).values():
        for path in paths:
            path.unlink()
    for path in [*folder.glob('best_*.pth'), folder / 'last_checkpoint']:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(work_dir: str | Path) -> Iterator[None]:
    """Lock the work dir for this run; the first of several processes does it for all.

    Raises:
        WorkDirError: It is a file, it cannot be written to, or another run has locked it.
    """
    folder = Path(work_dir)
    if not is_first_process():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take_lock(folder / _LOCK)
    except (FileExistsError, NotADirectoryError):
        raise WorkDirError(
            f'--work-dir {folder} is not a folder: a file of that name exists'
        ) from None
    except OSError as error:
        raise WorkDirError(f'--work-dir {folder} cannot be written to: {error.strerror}') from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take_lock(lock: Path) -> Path:
    owner = _myself()
    # Written to a temporary file and linked, so that a lock file always has its owner in it.
    draft = lock.with_name(f'{_LOCK}.{owner["host"]}.{owner["pid"]}')
    draft.write_text(json.dumps(owner))
    try:
        while True:
            try:
                os.link(draft, lock)
                return lock
            except FileExistsError:
                _remove_if_stale(lock, owner)
    finally:
        draft.unlink(missing_ok=True)


def _remove_if_stale(lock: Path, owner: dict[str, Any]) -> None:
    try:
        other = json.loads(lock.read_text())
        where = f'process {other["pid"]} on {other["host"]}'
    except FileNotFoundError:
        return  # the other run has just ended
    except (ValueError, TypeError, KeyError):
        raise WorkDirError(
            f'{lock} is not a lock of a training; delete it if none runs there'
        ) from None
    if other['host'] == owner['host']:
        stale = not _is_alive(other['pid'], other.get('started'))
    else:
        # the same job, restarted on another machine
        stale = other.get('job') is not None and other.get('job') == owner['job']
    if not stale:
        raise WorkDirError(
            f'{lock.parent} is in use by {where}; choose another --work-dir, or delete {lock} if that '
            'training is dead'
        )
    lock.unlink(missing_ok=True)


def _myself() -> dict[str, Any]:
    return dict(
        pid=os.getpid(),
        host=socket.gethostname(),
        started=_start_time(os.getpid()),
        job=os.environ.get('SLURM_JOB_ID'),
    )


def _is_alive(pid: int, started: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # a process of another user
    return started is None or _start_time(pid) in (None, started)


def _start_time(pid: int) -> str | None:
    """Return the start time of a process, if the system has it, because process ids are reused."""
    try:
        # the name, in parentheses, may hold spaces
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]
    except (OSError, IndexError):
        return None
