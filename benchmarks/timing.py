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
    """The measurements of one contender.

    Attributes:
        calls: Steps in a sample.
        samples: Seconds per step, one number for each round.
        error: The error that stopped it, if any.
    """

    calls: int = 1
    samples: list[float] = field(default_factory=list)
    error: Exception | None = None


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
        _guarded(timings[name], lambda t, s=step: _warm_up(t, s, device, warmup))
    rounds, start = 0, time.perf_counter()
    while names := [name for name in steps if timings[name].error is None]:
        if rounds >= repeats and time.perf_counter() - start >= seconds * len(names):
            break
        # rotate, so that no contender always follows the same neighbour and its cache
        first = rounds % len(names)
        for name in names[first:] + names[:first]:
            _guarded(timings[name], lambda t, s=steps[name]: _sample(t, s, device))
        rounds += 1
    return timings


def _guarded(timing: Timing, action: Callable[[Timing], None]) -> None:
    try:
        action(timing)
    except Exception as error:
        timing.error = error


def _warm_up(timing: Timing, step: Callable[[], object], device: torch.device, warmup: int) -> None:
    for _ in range(max(1, warmup)):
        _sample(timing, step, device)
    fastest = min(timing.samples)
    timing.calls = min(MOST_CALLS, max(1, round(SAMPLE_SECONDS / fastest)))
    timing.samples.clear()


def _sample(timing: Timing, step: Callable[[], object], device: torch.device) -> None:
    synchronize(device)
    start = time.perf_counter()
    for _ in range(timing.calls):
        step()
    synchronize(device)
    timing.samples.append((time.perf_counter() - start) / timing.calls)


def quartiles(samples: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = np.quantile(samples, (0.25, 0.5, 0.75)).tolist()
    return low, middle, high
