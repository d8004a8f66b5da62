"""The official implementation's numbers (tests/data), and the rule that reproduces its weights."""

import json
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

SEED = 2104
DATA = Path(__file__).parent / 'data'
ARCHS = {
    'lite_tiny': 'coat_lite_tiny',
    'lite_mini': 'coat_lite_mini',
    'lite_small': 'coat_lite_small',
    'lite_medium': 'coat_lite_medium',
    'tiny': 'coat_tiny',
    'mini': 'coat_mini',
    'small': 'coat_small',
}


@lru_cache
def load(name: str) -> dict:
    return json.loads((DATA / name).read_text())


def fill(key: str, shape: list[int]) -> torch.Tensor:
    """Return the golden value of a parameter, as the golden README states the rule."""
    rng = np.random.default_rng([SEED, zlib.crc32(key.encode())])
    n = rng.standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        n = n / np.float32(np.sqrt(np.prod(shape[1:])))
    elif key.endswith('.weight'):
        n = np.float32(1) + np.float32(0.1) * n
    else:
        n = np.float32(0.1) * n
    return torch.from_numpy(n)


def state_dict(spec: dict) -> dict[str, torch.Tensor]:
    """Return an official state dict, aliases included, from {key: {shape, alias_of}} or {key: shape}."""
    out: dict[str, torch.Tensor] = {}
    for key, entry in spec.items():
        if isinstance(entry, dict) and entry['alias_of']:
            out[key] = out[entry['alias_of']]
        else:
            out[key] = fill(key, entry['shape'] if isinstance(entry, dict) else entry)
    return out


def image(shape: list[int]) -> torch.Tensor:
    rng = np.random.default_rng([SEED, 7])
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def assert_matches(output: torch.Tensor, golden: dict, tolerance: float = 1e-4) -> None:
    """Compare shape, statistics and the stored elements, with the golden README's tolerances."""
    assert list(output.shape) == golden['shape']
    values = output.detach().double().numpy()
    std = golden['std']
    np.testing.assert_allclose(values.std(), std, rtol=1e-5)
    np.testing.assert_allclose(values.mean(), golden['mean'], rtol=1e-5, atol=1e-5 * std)
    np.testing.assert_allclose(np.abs(values).max(), golden['abs_max'], rtol=tolerance)
    found = values.reshape(-1)[golden['index']]
    np.testing.assert_allclose(found, golden['value'], rtol=0, atol=tolerance * std)
