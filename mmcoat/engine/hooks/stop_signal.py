"""Stop on a signal without losing work."""

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import distributed

from mmcoat.registry import HOOKS

from .checkpoint import CheckpointHook

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WORKER_GRACE = 60  # seconds


@HOOKS.register_module()
class StopSignalHook(Hook):
    """Save at the end of the iteration on SIGTERM (Slurm, Kubernetes) or SIGINT (Ctrl-C), and exit.

    The exit status is 128 + the signal, as a shell expects. A second SIGINT ends the process at once. A
    signal during a validation stops the validation, which the resumed run repeats. Several processes agree on
    the stop every ``interval`` training iterations, through a message between their CPUs.

    Args:
        interval: Iterations between two agreements of several processes.
    """

    priority = 'LOWEST'  # runs after the checkpoint hook

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.received = 0
        self._again = 0.0
        self._pid = os.getpid()
        self._former: dict[int, Any] = {}
        self._group: Any = None

    def before_train(self, runner: Runner) -> None:
        """Install the signal handlers."""
        self._pid = os.getpid()
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            self._group = distributed.new_group(backend='gloo')
        if threading.current_thread() is threading.main_thread():  # Python's rule for handlers
            self._former = {number: signal.signal(number, self._receive) for number in _SIGNALS}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop here if a signal came, but only after a complete step of the optimizer."""
        accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if (runner.iter + 1) % accumulated == 0 and self._agree(runner.iter + 1):
            self._stop(runner, runner.iter + 1)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop inside a validation, which can take longer than a scheduler waits."""
        if not self.received or self._group is not None or runner._train_loop is None:
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_val_epoch(runner)  # restores the trained weights
        runner.message_hub.update_info('validated_at', 0)
        self._stop(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Restore the previous signal handlers."""
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            self._receive_in_worker(number)
        elif number == signal.SIGINT and self.received == number and time.monotonic() > self._again:
            raise SystemExit(128 + number)
        elif not self.received:
            # under torchrun, Ctrl-C arrives twice: from the terminal, and forwarded by torchrun
            self._again = time.monotonic() + 1
            self.received = number

    @staticmethod
    def _receive_in_worker(number: int) -> None:
        """Continue in a data worker: the whole process group gets a signal, but the iteration needs data."""
        if number == signal.SIGTERM:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_WORKER_GRACE)

    def _agree(self, step: int) -> bool:
        if self._group is None:
            return bool(self.received)
        if step % self.interval:
            return False
        received = torch.tensor(self.received)
        distributed.all_reduce(received, op=distributed.ReduceOp.MAX, group=self._group)
        self.received = int(received)
        return bool(self.received)

    def _stop(self, runner: Runner, step: int) -> None:
        paths = [
            hook.save_now(runner, step) for hook in runner.hooks if isinstance(hook, CheckpointHook)
        ]
        name = signal.Signals(self.received).name
        saved = f'saved {paths[0]}' if paths else 'nothing saved (no checkpoint hook)'
        print_log(
            f'{name}: stopped after iteration {step}, {saved}; continue with the same command and --resume',
            logger='current',
            level=logging.WARNING,
        )
        self.after_train(runner)
        raise SystemExit(128 + self.received)
