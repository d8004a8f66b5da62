"""Interleaved timing: every round runs each contender once, so that a slow minute affects all of them.

``torch.utils.benchmark.Timer`` is not used: each of its measurements starts with two extra calls, which would
triple the time of a run in which a sample is one long step.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from .steps import synchronize

SAMPLE_SECONDS = 0.02  # minimal length of a sample: short steps are repeated within it
MOST_CALLS = 100


@dataclass
class Timing:
    """The measurements of one contender."""

    calls: int = 1  # steps in a sample
    samples: list[float] = field(default_factory=list)  # seconds per step, one for each round
    error: Exception | None = None  # what stopped it

    def sample(self, step: Callable[[], object], device: torch.device) -> None:
        """Take one sample, or keep the error of the step."""
        try:
            synchronize(device)
            start = time.perf_counter()
            for _ in range(self.calls):
                step()
            synchronize(device)
            self.samples.append((time.perf_counter() - start) / self.calls)
        except Exception as error:
            self.error = error

    def warm_up(self, step: Callable[[], object], device: torch.device, times: int) -> None:
        """Run some steps, and choose the steps in a sample."""
        while self.error is None and len(self.samples) < max(1, times):
            self.sample(step, device)
        if self.error is None:
            self.calls = min(MOST_CALLS, max(1, round(SAMPLE_SECONDS / min(self.samples))))
        self.samples.clear()


def time_steps(
    steps: Mapping[str, Callable[[], object]],
    device: torch.device,
    repeats: int,
    seconds: float,
    warmup: int,
) -> dict[str, Timing]:
    """Time all steps in turn, at least ``repeats`` rounds and on average ``seconds`` for each of them.

    If a step fails, its error is kept and the others continue.
    """
    timings = {name: Timing() for name in steps}
    for name, step in steps.items():
        timings[name].warm_up(step, device, warmup)
    rounds, start = 0, time.perf_counter()
    while names := [name for name in steps if timings[name].error is None]:
        if rounds >= repeats and time.perf_counter() - start >= seconds * len(names):
            break
        # rotate, so that no contender always follows the same neighbour and its cache
        first = rounds % len(names)
        for name in names[first:] + names[:first]:
            timings[name].sample(steps[name], device)
        rounds += 1
    return timings


def quartiles(samples: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = np.quantile(samples, (0.25, 0.5, 0.75)).tolist()
    return low, middle, high
