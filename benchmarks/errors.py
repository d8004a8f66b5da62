"""Why a contender has no number."""


class UnavailableError(Exception):
    """The contender cannot take part here; the message says why, and what would help."""
