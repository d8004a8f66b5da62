"""Random state as a function of the seed and the position in the run, so that resuming replays nothing.

The state of a random number generator depends on all earlier draws. A resumed run would have to repeat them
all, in every process. Here each iteration and each sample is seeded separately.
"""

import random

import numpy as np
import torch

_MODEL, _DATA = 0, 1  # the two never share a seed


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed the model's random numbers for one iteration (drop path, dropout, sampled points)."""
    _seed_all(_MODEL, seed, rank, iteration)


def seed_sample(seed: int, epoch: int, position: int) -> None:
    """Seed the data pipeline's random numbers for one sample, in the process that loads it.

    Args:
        seed: Seed of the run.
        epoch: Number of the pass through the data.
        position: Number of earlier samples in this pass, over all processes of the run.
    """
    _seed_all(_DATA, seed, epoch, position)


def _seed_all(*key: int) -> None:
    words = np.random.SeedSequence([value % 2**64 for value in key]).generate_state(6)
    random.seed(int.from_bytes(words[:2].tobytes(), 'little'))
    np.random.seed(words[2:4])
    # also seeds CUDA's generators, on the host, without synchronisation
    torch.manual_seed(int.from_bytes(words[4:].tobytes(), 'little') >> 1)
