"""Peak memory of one step, counted the same way for everyone.

On CUDA it is the allocator's own peak. On CPU PyTorch's profiler reports every allocation and release of the
CPU allocator, eager and compiled alike, with its size; their running sum is exact. Both are counted from the
moment the step begins: what was there before, weights and images, does not count, released meanwhile or not.
Workspaces that a library such as oneDNN or MKL allocates for itself are not seen.
"""

import os
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

# Else the profiler's library writes two lines to the terminal every time.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')
MEMORY_EVENT = '[memory]'


def peak_memory(step: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes that one call of ``step`` holds at a time, above what was held before."""
    return _cuda_peak(step, device) if device.type == 'cuda' else _cpu_peak(step)


def _cuda_peak(step: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _cpu_peak(step: Callable[[], object]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == MEMORY_EVENT]
    changes.sort(key=lambda change: change[0])  # stable: events of one instant stay in order
    return running_peak(nbytes for _, nbytes in changes)


def running_peak(changes: Iterable[int]) -> int:
    """Return the highest running sum of allocations (positive) and releases (negative), at least 0."""
    held = peak = 0
    for nbytes in changes:
        held += nbytes
        peak = max(peak, held)
    return peak


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers, shared ones once."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())
