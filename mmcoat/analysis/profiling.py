"""Measure the parts of a training iteration: loading, backbone, head, backward, optimizer."""

import time
from collections import defaultdict
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmcoat.runs import bare_model

PARTS = ('data loading', 'preprocessing', 'backbone', 'neck and heads', 'backward', 'optimizer')


class IterationProfiler(Hook):
    """Time the parts of training iterations, and stop the training after the last measured one.

    Every boundary waits for the device, so the sum is somewhat more than an iteration takes without
    profiling.

    Args:
        iterations: Number of measured iterations.
        warmup: Number of iterations before them that are not measured.
    """

    def __init__(self, iterations: int = 10, warmup: int = 3):
        self.iterations = iterations
        self.warmup = warmup
        self.seconds: dict[str, list[float]] = {part: [] for part in PARTS}
        self._now: defaultdict[str, float] = defaultdict(float)
        self._last = 0.0

    def before_train(self, runner: Runner) -> None:
        model = bare_model(runner)
        self._bracket(model.data_preprocessor, 'preprocessing')
        self._bracket(model.backbone, 'backbone')
        self._wrap(runner.optim_wrapper, 'backward', before='neck and heads')
        self._wrap(runner.optim_wrapper, 'step', before='optimizer')
        self._wrap(runner.optim_wrapper, 'zero_grad', before='optimizer')
        self._mark('')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self._mark('data loading')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self._mark('optimizer')
        if runner.iter >= self.warmup:
            for part in PARTS:
                self.seconds[part].append(self._now[part])
        self._now.clear()

    def _mark(self, part: str) -> None:
        """Add the time since the last mark to ``part``."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if part:
            self._now[part] += now - self._last
        self._last = now

    def _bracket(self, module: nn.Module, part: str) -> None:
        module.register_forward_pre_hook(lambda *_: self._mark('neck and heads'))
        module.register_forward_hook(lambda *_: self._mark(part))

    def _wrap(self, wrapper: Any, name: str, before: str) -> None:
        """Time a method of the optimizer wrapper; the time before the call is added to ``before``."""
        method = getattr(wrapper, name)
        part = 'backward' if name == 'backward' else 'optimizer'

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._mark(before)
            result = method(*args, **kwargs)
            self._mark(part)
            return result

        setattr(wrapper, name, timed)


def profile_training(runner: Runner, iterations: int, warmup: int) -> dict[str, list[float]]:
    """Train for some iterations and return the seconds of each part, one per iteration."""
    profiler = IterationProfiler(iterations, warmup)
    runner.register_hook(profiler, priority='VERY_LOW')
    runner.train()
    return profiler.seconds
