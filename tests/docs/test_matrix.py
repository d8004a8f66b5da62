"""The promise equals the test: the versions that setup.cfg names are those that docs/matrix.md has tried."""

import configparser
import re

import pytest

from tests.helpers import ROOT
from tests.matrix.page import PAGE, STEPS, read, render, works
from tests.matrix.try_matrix import Cell


@pytest.fixture(scope='module')
def rows():
    return read()


@pytest.fixture(scope='module')
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    return parser


def test_the_page_is_what_was_measured(rows):
    assert PAGE.read_text(encoding='utf-8') == render(rows)
    assert len({row['cell'] for row in rows}) == len(rows)
    assert all(str(Cell.parse(row['cell'])) == row['cell'] for row in rows)


def test_every_python_that_is_promised_works(rows, setup):
    classifiers = setup['metadata']['classifiers']
    promised = set(re.findall(r'Python :: (3\.\d+)', classifiers))
    tried = {cell.python for row in rows if works(row) and (cell := Cell.parse(row['cell']))}
    assert promised and promised <= tried


def test_the_lowest_torch_that_is_promised_works(rows, setup):
    (lowest,) = re.findall(r'^torch>=([\d.]+)$', setup['options']['install_requires'], re.M)
    tried = [Cell.parse(row['cell']).torch for row in rows if works(row)]
    assert any(version == lowest or version.startswith(f'{lowest}.') for version in tried)


def test_a_failure_is_shown():
    steps = dict.fromkeys(STEPS, 'ok') | {'detection': 'RuntimeError: no `nms`'}
    row = dict(cell='3.13:2.6.0:onedl:numpy<2', versions=dict(numpy='1.26.4'), steps=steps)
    text = render([row])
    assert not works(row)
    line = '| 3.13 | 2.6.0 | OneDL, `numpy<2` | fails: detection (1) | 1.26.4 | - | - |'
    assert line in text and "1. `detection: RuntimeError: no 'nms'`" in text
    row['steps'] = dict.fromkeys(STEPS, 'ok')
    assert works(row) and '| works | 1.26.4 |' in render([row])
