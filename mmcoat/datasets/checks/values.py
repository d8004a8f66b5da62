"""Checks of values from JSON."""

import math
from typing import Any


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_id(value: Any) -> bool:
    """Return whether a value can be an id: COCO's are integers, but some tools write strings."""
    return isinstance(value, int | str) and not isinstance(value, bool)
