"""Both blocks on the fused operators equal the paper's formula in values, gradients and random draws."""

import pytest
import torch

from mmcoat.ops import backend
from tests.ops.formula import check_block

pytest.importorskip('triton', reason='the fused operators are written in Triton')


@pytest.mark.parametrize('drop_rate', [0.0, 0.3])
@pytest.mark.parametrize('kind', ['serial', 'parallel'])
def test_blocks(monkeypatch, kind, drop_rate):
    monkeypatch.setattr(backend, 'fused_available', lambda device: True)
    rates = dict(drop_path_rate=0.5, drop_rate=drop_rate)
    check_block('fused', kind, rates, torch.float32, 2e-4)
