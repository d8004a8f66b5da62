"""What a check of data raises."""

from mmcoat.errors import UsageError


class DataError(UsageError):
    """A data set holds what cannot be trained on; the message names the first finding."""
