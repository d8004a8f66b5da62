"""Contenders for single tests."""

import sys

import pytest

from benchmarks import contenders


@pytest.fixture
def own_family(monkeypatch):
    """Return a function that adds a contender for one test."""

    def add(name: str, build) -> None:
        monkeypatch.setitem(contenders.FAMILIES, name, build)

    return add


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    """The folder of the peers, if it was filled, must not stay in the path for later tests' processes."""
    monkeypatch.setattr(sys, 'path', sys.path[:])
