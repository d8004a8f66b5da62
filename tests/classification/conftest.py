"""What MMPretrain needs to be importable, and skipping where it is not installed."""

import importlib
from importlib.util import find_spec

import pytest
import torch

# On a CPU build of PyTorch the wheel of torchvision, a CUDA build, finds its compiled operators missing and
# stops at import. MMPretrain uses none of them in classification: their declarations are enough.
_OPERATORS = ('nms', 'qnms')
_library = None


def _make_torchvision_importable() -> None:
    global _library
    try:
        importlib.import_module('torchvision')
    except RuntimeError:
        _library = torch.library.Library('torchvision', 'DEF')
        for name in _OPERATORS:
            _library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')


if find_spec('mmpretrain'):
    _make_torchvision_importable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_spec('mmpretrain'):
        return
    for item in items:
        if 'tests/classification' in item.nodeid:
            item.add_marker(pytest.mark.skip(reason='MMPretrain is not installed'))
