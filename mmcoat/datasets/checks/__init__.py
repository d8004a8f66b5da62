"""Check data sets before training: every image, label map and annotation."""

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
