"""Data for small trainings."""

import pytest

from mmcoat.datasets.synthetic import make_ade20k, make_coco


@pytest.fixture(scope='session')
def ade(tmp_path_factory):
    root = tmp_path_factory.mktemp('ade')
    make_ade20k(root, train=6, val=2, size=(80, 64), seed=3, overwrite=True)
    return root


@pytest.fixture(scope='session')
def coco(tmp_path_factory):
    root = tmp_path_factory.mktemp('coco')
    make_coco(root, train=6, val=2, size=(96, 96), seed=5, overwrite=True)
    return root
