"""What MMPretrain needs to be importable, and skipping where it is not installed."""

from importlib.util import find_spec

import pytest

from benchmarks.peers import declare_torchvision_operators

if find_spec('mmpretrain'):
    declare_torchvision_operators()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_spec('mmpretrain'):
        return
    for item in items:
        if 'tests/classification' in item.nodeid:
            item.add_marker(pytest.mark.skip(reason='MMPretrain is not installed'))
