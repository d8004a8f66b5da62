"""The environment of a measurement: machine, versions, threads, allocator."""

import datetime
import os
import platform
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from mmcoat.version import __version__
from mmcoat.versions import installed_version

# malloc reads these; they change the CPU times of all contenders
MALLOC = ('MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_', 'MALLOC_TOP_PAD_', 'MALLOC_ARENA_MAX')
PACKAGES = {
    'timm': ('timm',),
    'triton': ('triton', 'pytorch-triton'),
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}


def describe(device: torch.device) -> dict[str, Any]:
    """Return the facts for readers of the results; no host names, and no paths except in the command."""
    found = dict(
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        mmcoat=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        packages=packages(),
        device=str(device),
        cpu=cpu_name(),
        cores=os.cpu_count(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        allocator=allocator(),
        load=load_average(),
    )
    if device.type == 'cuda':
        found |= dict(
            gpu=torch.cuda.get_device_name(device),
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
            tf32=torch.backends.cuda.matmul.allow_tf32,
        )
    return found


def packages() -> dict[str, str | None]:
    """Return the versions of the packages that can be imported by now."""
    return {name: installed_version(distributions) for name, distributions in PACKAGES.items()}


def cpu_name() -> str:
    """Return the processor's name."""
    facts = Path('/proc/cpuinfo')
    named = re.search(r'^model name\s*:\s*(.+)', facts.read_text() if facts.exists() else '', re.M)
    return named[1].strip() if named else platform.processor() or platform.machine()


def allocator() -> str:
    """Return the settings of malloc that are in force."""
    parts = [f'{name}={os.environ[name]}' for name in MALLOC if name in os.environ]
    if preloaded := os.environ.get('LD_PRELOAD'):
        parts.append('LD_PRELOAD=' + ' '.join(Path(p).name for p in preloaded.split()))
    return ' '.join(parts) or 'malloc as it comes (no MALLOC_* variables)'


def load_average() -> float | None:
    """Return the load average of the last minute, None if the system does not measure it."""
    return round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None


def load_warning(own_threads: int) -> str | None:
    """Return a warning if other processes seem to use the machine."""
    load = load_average()
    if load is None or load <= own_threads + 0.7:
        return None
    return (
        f'warning: the load of this machine is {load:.1f}, these runs take {own_threads} threads of '
        f'{os.cpu_count()} cores: others are at work, times may be off'
    )
