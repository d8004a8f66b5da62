"""The reason why a contender was not measured."""


class UnavailableError(Exception):
    """The contender cannot run here; the message says why and what to do."""
