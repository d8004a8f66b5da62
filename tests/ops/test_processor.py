"""bfloat16 on a CPU without AVX-512 is announced as slow, once, wherever a user chooses it."""

import logging

import pytest
import torch
from torch import nn

from mmcoat import prepare_for_inference
from mmcoat.apis.models import choose_precision
from mmcoat.engine import CPUAmpOptimWrapper
from mmcoat.ops import processor

CPU = torch.device('cpu')


def wrapper() -> CPUAmpOptimWrapper:
    return CPUAmpOptimWrapper(optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))


CHOICES = {
    'prepare_for_inference': lambda: prepare_for_inference(nn.Linear(2, 2), torch.bfloat16),
    'precision': lambda: choose_precision('bf16', CPU, 'segmentation'),
    '--amp': wrapper,
}


@pytest.fixture
def said(monkeypatch):
    lines: list[tuple[str, int]] = []
    monkeypatch.setattr(
        processor, 'print_log', lambda text, logger, level: lines.append((text, level))
    )
    monkeypatch.setattr(processor, '_warned', False)
    monkeypatch.setattr(processor, 'HAS_AVX512', False)
    return lines


@pytest.mark.parametrize('choose', CHOICES.values(), ids=CHOICES)
def test_slow_bf16_is_said_once(said, choose):
    choose()
    choose()
    [(line, level)] = said
    assert 'without AVX-512' in line
    assert 'float32 is the better choice' in line
    assert level == logging.WARNING


@pytest.mark.parametrize('choose', CHOICES.values(), ids=CHOICES)
def test_nothing_is_said_where_bf16_is_fast(said, monkeypatch, choose):
    monkeypatch.setattr(processor, 'HAS_AVX512', True)
    choose()
    assert not said


def test_nothing_is_said_of_float32_and_of_gpus(said):
    prepare_for_inference(nn.Linear(2, 2))
    choose_precision('fp32', CPU, 'segmentation')
    choose_precision('auto', CPU, 'detection')
    choose_precision('bf16', torch.device('cuda'), 'segmentation')
    assert not said
