"""Both blocks equal the paper's formula in values, gradients and random draws."""

import pytest
import torch

from .formula import check_block

RATES = {
    'nothing dropped': {},
    'drop path': dict(drop_path_rate=0.5),
    'dropout': dict(drop_rate=0.3),
    'both': dict(drop_rate=0.3, drop_path_rate=0.5),
}


@pytest.mark.parametrize('rates', RATES.values(), ids=RATES.keys())
@pytest.mark.parametrize('kind', ['serial', 'parallel'])
@pytest.mark.parametrize('backend', ['reference', 'plain'])
def test_blocks(backend, kind, rates):
    check_block(backend, kind, rates, torch.float64, 1e-9)
