"""What every error that a user can mend has in common."""


class UsageError(ValueError):
    """The user's arguments, config or files cannot work; the message is one line for the terminal."""
