"""Memory that a process keeps for sizes that it has seen."""

import os
import subprocess
import sys

import pytest
import torch

from mmcoat import runs
from mmcoat.runs.memory import CACHES
from tests.helpers import ROOT

SIZES = """
import ctypes, random, torch
from mmcoat import CoaT, runs
{bound}
libc = ctypes.CDLL(None)
class Heap(ctypes.Structure):  # glibc's mallinfo2
    _fields_ = [(name, ctypes.c_size_t) for name in 'abcdmefuhi']
libc.mallinfo2.restype = Heap
random.seed(0)
model = CoaT('lite_tiny', init_cfg=None).eval()
with torch.inference_mode():
    for number in range(50):
        model(torch.zeros(1, 3, random.randint(64, 160), random.randint(64, 160)))
        if number in (19, 49):
            heap = libc.mallinfo2()
            print(heap.m + heap.u)
"""


def growth(bound: str) -> float:
    """Return by how many MiB the heap grows while a process that has seen 20 sizes sees 30 more."""
    environment = {k: v for k, v in os.environ.items() if k not in CACHES}
    environment |= dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, '-c', SIZES.format(bound=bound)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = map(int, done.stdout.split()[-2:])
    return (last - first) / 2**20


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='PyTorch without oneDNN')
def test_flat_for_ever_new_sizes():
    bounded, unbounded = growth('runs.bound_kernel_caches()'), growth('')
    assert bounded < 25
    # in PyTorch's own caches, 12 MiB without AVX-512, 50 and more with it: or the test could not fail
    assert unbounded > 10 + bounded


def test_what_is_set_stays(monkeypatch):
    for name in CACHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('LRU_CACHE_CAPACITY', '7')
    runs.bound_kernel_caches()
    assert os.environ['LRU_CACHE_CAPACITY'] == '7'
    assert os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'] == '256'
    monkeypatch.delenv('ONEDNN_PRIMITIVE_CACHE_CAPACITY')
