"""Faults of the machine during a training, told in one line."""

import contextlib
import errno
from collections.abc import Iterator

from mmengine.runner import Runner

from mmcoat.errors import UsageError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EIO)


class MachineError(UsageError):
    """A disk is full or gone, or a data loading process was killed."""


@contextlib.contextmanager
def one_line_faults(runner: Runner) -> Iterator[None]:
    """Turn faults of disks and of data loading processes into one line that says what still stands.

    Raises:
        MachineError: There was one.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f' ({error.filename})' if error.filename else ''
        raise MachineError(f'{error.strerror}{where}; {_advice(runner)}') from error
    except RuntimeError as error:
        if not str(error).startswith('DataLoader worker'):
            raise
        reason = str(error).splitlines()[0].rstrip('.')
        raise MachineError(
            f'{reason}: killed, by the system perhaps for lack of memory '
            f'(train_dataloader.num_workers); {_advice(runner)}'
        ) from error


def _advice(runner: Runner) -> str:
    return f'checkpoints in {runner.work_dir} are whole; go on with --resume once this is mended'
