"""The error class of this package."""

from mmcoat.errors import UsageError


class CheckpointError(UsageError):
    """A checkpoint cannot be fetched or read, or does not fit; the message is one line for the user."""
