"""Tracing under pytest."""

import logging

import pytest


@pytest.fixture(autouse=True)
def no_record_of_traces(monkeypatch):
    """PyTorch logs every decision about a size, which pytest would keep in memory: minutes of it."""
    monkeypatch.setattr(logging.getLogger('torch.__trace'), 'propagate', False)
