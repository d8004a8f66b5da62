"""The error of a data check."""

from mmcoat.errors import UsageError


class DataError(UsageError):
    """A data set has errors and cannot be used for training; the message names the first finding."""
