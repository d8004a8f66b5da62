"""What the command-line tools share: arguments, and errors in one line."""

import argparse
import contextlib
import ctypes
import functools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from mmcoat.errors import UsageError


class Options(DictAction):
    """MMEngine's KEY=VALUE options; anything else is an error in one line."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        for value in values:
            if '=' not in value or value.startswith('='):
                raise UsageError(f'{option_string} takes KEY=VALUE, got {value!r}')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:  # unclosed brackets
            raise UsageError(f'{option_string} {" ".join(values)}: {error}') from None


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add CONFIG and ``--cfg-options``."""
    parser.add_argument(
        'config', help='config file, for example configs/upernet_coat_lite_s_ade20k.py'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override settings of the config, for example data_root=data/mine or '
        'train_dataloader.batch_size=4; lists as key="[a,b]" or key=a,b',
    )
    parser.add_argument(
        '--allow-new-keys',
        action='store_true',
        help='accept keys in --cfg-options that neither the config nor the configured class has',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--compile`` and the launcher's arguments."""
    parser.add_argument('--work-dir', help='where logs and results go (work_dirs/<config name>)')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the backbone with torch.compile: the first steps take minutes, later steps are faster',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher; tools/dist_train.sh and the slurm scripts set it',
    )
    # torch.distributed.launch passes --local-rank, its older versions --local_rank
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


# glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD; the same three as KEEP_MEMORY of the Makefile
_KEEP = {-4: 0, -1: -1, -2: 2**28}


def keep_memory() -> bool:
    """Let this process keep the memory that tensors free, instead of asking the kernel for it page by page.

    For tools that compute on CPU: a tensor of more than 32 MB costs a page fault for every 4 KB at each call,
    a fifth of the time of an image of 2048 x 2048 pixels. The import of mmcoat leaves malloc alone.

    Returns:
        Whether it was set; not without glibc, and not where a ``MALLOC_*`` variable has settled it already.
    """
    if any(name.startswith('MALLOC_') for name in os.environ):
        return False
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all(mallopt(what, value) for what, value in _KEEP.items())
    return False


def progress(*columns: Any, transient: bool = False) -> Any:
    """Return a progress bar of rich on stderr: description, bar, number done, ``columns``, time left.

    Args:
        columns: More of rich's columns.
        transient: Whether the bar disappears at its end.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    shown = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), *columns
    return Progress(
        *shown, TimeRemainingColumn(), console=Console(stderr=True), transient=transient
    )


def needs_checkout(tool: str, error: ModuleNotFoundError, extras: str) -> str:
    """Return the message of a tool whose code lies beside the package, or needs extras, and is not there.

    Args:
        tool: The tool's ``__file__``.
        error: What its import raised.
        extras: Separated by commas.
    """
    return (
        f'{Path(tool).name}: error: {error}; it runs in a checkout, with pip install ".[{extras}]"'
    )


def command(main: Callable[[], Any]) -> Callable[[], int]:
    """Report errors that the user can fix in one line, with exit status 2.

    The environment variable ``MMCOAT_TRACEBACK=1`` also shows the traceback.
    """

    @functools.wraps(main)
    def run() -> int:
        try:
            return _run(main)
        except SystemExit as stop:
            traceback.clear_frames(stop.__traceback__)  # the runner is in one of them
            raise
        finally:
            if 'mmcoat.runs.distributed' in sys.modules:
                from mmcoat.runs.distributed import leave_processes

                leave_processes()

    return run


def _run(main: Callable[[], Any]) -> int:
    try:
        return main() or 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from mmcoat.runs.failures import explain

        told = explain(error)
        if told is None:
            raise
        return _tell(told, error)


def _tell(told: UsageError, error: Exception) -> int:
    shown = os.environ.get('MMCOAT_TRACEBACK', '0') not in ('', '0')
    if shown:
        traceback.print_exception(error)
    # if another error is the cause, its traceback may help
    hint = ' (MMCOAT_TRACEBACK=1 shows where)' if not shown and _has_cause(told, error) else ''
    print(f'{Path(sys.argv[0]).name}: error: {told}{hint}', file=sys.stderr)
    return 2


def _has_cause(told: UsageError, error: Exception) -> bool:
    return told is not error or error.__cause__ is not None
