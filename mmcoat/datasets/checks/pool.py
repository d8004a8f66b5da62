"""Open many files with all cores."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from .errors import DataError

# A process takes seconds to start, because it repeats the program's imports; threads also decode in parallel.
PROCESSES_FROM = 2000
T = TypeVar('T')
R = TypeVar('R')


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(function: Callable[[T], R], tasks: Sequence[T], workers: int | None = None) -> Iterator[R]:
    """Yield ``function`` of each task, in order.

    Args:
        function: A function at the top level of a module, so that a process can import it.
        tasks: Its arguments.
        workers: Number of parallel workers; all cores by default, 1 stays in this process.

    Raises:
        DataError: A process was killed.
    """
    workers = min(workers or cores(), max(1, len(tasks)))
    if workers == 1:
        yield from map(function, tasks)
        return
    pool: Executor
    if len(tasks) < PROCESSES_FROM:
        pool, chunk = ThreadPoolExecutor(workers), 1
    else:
        pool, chunk = ProcessPoolExecutor(workers, multiprocessing.get_context('spawn')), 32
    try:
        yield from pool.map(function, tasks, chunksize=chunk)
    except BrokenProcessPool:
        raise DataError(
            'a process that opened images was killed, perhaps for lack of memory; use fewer --workers'
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
