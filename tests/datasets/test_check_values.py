"""Numbers as they come out of JSON."""

import math

import pytest

from mmcoat.datasets.checks.values import are_numbers, is_number

SOUND = (0, -3, 2.5, 1e308, -1e-300)
WRONG = (True, '1', None, [], math.nan, math.inf, -math.inf, 10**400)


@pytest.mark.parametrize('value', SOUND)
def test_numbers(value):
    assert is_number(value) and are_numbers([1, value, 2.5])


@pytest.mark.parametrize('value', WRONG)
def test_others(value):
    assert not is_number(value)
    assert not are_numbers([1, value, 2.5])


def test_a_sum_beyond_the_largest_number():
    assert are_numbers([1e308, 1e308]) and are_numbers([1e308, -1e308]) and are_numbers([])
    assert not are_numbers([math.inf, -math.inf])
