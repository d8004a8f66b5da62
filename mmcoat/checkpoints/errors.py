"""The one error of this package."""


class CheckpointError(ValueError):
    """A checkpoint cannot be fetched or read, or does not fit; the message is one line for the user."""
