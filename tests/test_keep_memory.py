"""Tools keep freed memory: large tensors cost no page faults after a few calls."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from mmcoat import cli
asked = {asked} and cli.keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# the allocator does not take the same place at once
print(asked, [faults() for _ in range(12)][-1])
"""


def run(asked: bool, **variables: str) -> tuple[str, int]:
    found = subprocess.run(
        [sys.executable, '-c', PROGRAM.format(asked=asked)],
        env={'PATH': '/usr/bin', 'OMP_NUM_THREADS': '1', 'PYTHONPATH': '.', **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    asked_text, count = found.stdout.split()
    return asked_text, int(count)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc only')
def test_faults():
    # pages may be larger than 4 KB, hence the wide limits
    asked, kept = run(True)
    assert asked == 'True'
    assert kept < 16
    assert run(False)[1] > kept + 16
    assert run(True, MALLOC_ARENA_MAX='1')[0] == 'False'
