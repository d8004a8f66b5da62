"""Base class of every error that the user can fix."""


class UsageError(ValueError):
    """The user's arguments, config or files are wrong; the message is one line for the terminal."""
