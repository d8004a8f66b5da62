"""What can go wrong while exporting, and what is missing."""

import importlib
from types import ModuleType

from mmcoat.errors import UsageError


class ExportError(UsageError):
    """What is asked for cannot be exported; the message says what can."""


class VerificationError(UsageError):
    """The written program does not give PyTorch's numbers; the message says by how much."""


def require(name: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ExportError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f'{purpose} needs the package {name.partition(".")[0]} ({error}): '
            "pip install 'mmcoat[export]'"
        ) from None
