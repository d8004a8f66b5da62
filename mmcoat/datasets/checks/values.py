"""Checks of values from JSON."""

import math
from collections.abc import Sequence
from typing import Any


def _is_finite(*values: float) -> bool:
    try:
        return math.isfinite(sum(values))
    except OverflowError:  # a whole number beyond the largest one
        return False


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values are finite numbers; COCO's polygons have 20 million."""
    # a sum tells of NaN and infinity; it may itself be beyond the largest number
    if set(map(type, values)) <= {int, float} and _is_finite(*values):
        return True
    return all(map(is_number, values))


def is_id(value: Any) -> bool:
    """Return whether a value can be an id: COCO's are integers, but some tools write strings."""
    return isinstance(value, int | str) and not isinstance(value, bool)
