"""Every test starts like a fresh process, so that no test depends on earlier ones."""

import os
import random

import numpy as np
import pytest
import torch
from mmengine.utils import ManagerMixin

from mmcoat.compat import use_pytorch_ops
from tests.helpers import forget_instances

use_pytorch_ops()  # where MMCV has no compiled operators; before MMDetection is imported

# Before anything imports Triton: without a GPU the kernels run in its interpreter.
os.environ.setdefault('TRITON_INTERPRET', '0' if torch.cuda.is_available() else '1')

# If several threads compute a process's first exponentials in float64, they were off by 6e-8 in 12 of 40
# processes (PyTorch 2.13 with MKL); in none after one in a single thread.
torch.zeros(1, dtype=torch.float64).exp()


@pytest.fixture(autouse=True)
def no_instances_of_earlier_tests():
    """Forget the default scope, the loggers and the visualizers that an earlier test left."""
    forget_instances(ManagerMixin)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Let fixtures of a module draw the same numbers in every run."""
    seed_all()


@pytest.fixture(autouse=True)
def the_same_draws():
    """Let a test draw the same numbers whatever ran before, so that a failure can be repeated."""
    seed_all()


def seed_all() -> None:
    """Seed Python, NumPy, which MMEngine draws the seeds of its runs from, and PyTorch."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
