"""Peak memory of one step, counted in the same way for all contenders.

On CUDA it is the allocator's own peak. On CPU PyTorch's profiler reports every allocation and release of the
CPU allocator, eager and compiled alike, with its size; their running sum is exact. Both are counted from the
start of the step: earlier memory (weights and images) does not count, even if it is released during the step.
Workspaces that a library such as oneDNN or MKL allocates for itself are not counted.
"""

import os
from collections.abc import Callable, Iterable
from itertools import accumulate

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

# Otherwise the profiler's library writes two lines to the terminal every time.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')
MEMORY_EVENT = '[memory]'


def peak_memory(step: Callable[[], object], device: torch.device) -> int:
    """Return the peak memory in bytes of one call of ``step``, above the memory held before."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == MEMORY_EVENT]
    changes.sort(key=lambda change: change[0])  # stable: simultaneous events keep their order
    return running_peak(nbytes for _, nbytes in changes)


def running_peak(changes: Iterable[int]) -> int:
    """Return the highest running sum of allocations (positive) and releases (negative), at least 0."""
    return max(accumulate(changes, initial=0))


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers, shared ones once."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())
