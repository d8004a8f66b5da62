"""Check data sets before they are trained on: every image, label map and annotation is looked at."""

from .before_training import check_before_training
from .check import check_sets
from .errors import DataError
from .kinds import KINDS, Kind
from .reports import Report, SetReport
from .sources import Source, describe

__all__ = [
    'KINDS',
    'DataError',
    'Kind',
    'Report',
    'SetReport',
    'Source',
    'check_before_training',
    'check_sets',
    'describe',
]
