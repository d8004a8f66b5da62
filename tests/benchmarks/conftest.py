"""Contenders for single tests."""

import pytest

from benchmarks import contenders


@pytest.fixture
def own_family(monkeypatch):
    """Return a function that adds a contender for one test."""

    def add(name: str, build) -> None:
        monkeypatch.setitem(contenders.FAMILIES, name, build)

    return add
