"""Random state as a function of the seed and the place in the run: there is no stream to replay.

A stream of random numbers depends on everything that drew from it before; a run that is resumed would have
to draw all of it again, in every process. Here each iteration and each sample starts its own.
"""

import random

import numpy as np
import torch

_MODEL, _DATA = 0, 1  # the two never share a seed


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed what the model draws in one iteration (drop path, dropout, sampled points)."""
    _seed_all(_MODEL, seed, rank, iteration)


def seed_sample(seed: int, epoch: int, position: int) -> None:
    """Seed what the data pipeline draws for one sample, in whichever process it is loaded.

    Args:
        seed: The run's.
        epoch: Which pass through the data.
        position: Number of samples before it in this pass, in all processes of the run together.
    """
    _seed_all(_DATA, seed, epoch, position)


def _seed_all(*key: int) -> None:
    words = np.random.SeedSequence([value % 2**64 for value in key]).generate_state(6)
    random.seed(int.from_bytes(words[:2].tobytes(), 'little'))
    np.random.seed(words[2:4])
    # seeds CUDA's generators too, on the host: no synchronisation
    torch.manual_seed(int.from_bytes(words[4:].tobytes(), 'little') >> 1)
