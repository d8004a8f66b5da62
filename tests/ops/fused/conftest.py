"""The kernels run in Triton's interpreter on CPU, unless TRITON_INTERPRET=0 asks for a GPU."""

import os

os.environ.setdefault('TRITON_INTERPRET', '1')  # before Triton is imported

import pytest


@pytest.fixture(autouse=True)
def small_chip(monkeypatch):
    """Fewer and larger programs than a GPU needs: the interpreter runs them one after another."""
    pytest.importorskip('triton', reason='the fused operators are written in Triton')
    from mmcoat.ops.fused import config

    monkeypatch.setattr(config, 'ENOUGH', 4)
    monkeypatch.setattr(config, 'PROGRAMS', 16)
