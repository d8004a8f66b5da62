"""Data for small trainings."""

import pytest

from mmcoat.datasets.synthetic import make_ade20k


@pytest.fixture(scope='session')
def ade(tmp_path_factory):
    root = tmp_path_factory.mktemp('ade')
    make_ade20k(root, train=6, val=2, size=(80, 64), seed=3, overwrite=True)
    return root
