"""Without a GPU the kernels run in Triton's interpreter: tests/conftest.py asks for it."""

import pytest


@pytest.fixture(autouse=True)
def small_chip(monkeypatch):
    """Fewer and larger programs than a GPU needs: the interpreter runs them one after another."""
    pytest.importorskip('triton', reason='the fused operators are written in Triton')
    from mmcoat.ops.fused import tuning

    monkeypatch.setattr(tuning, 'ENOUGH', 4)
    monkeypatch.setattr(tuning, 'PROGRAMS', 16)
