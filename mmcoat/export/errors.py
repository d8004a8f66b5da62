"""The errors of the export, and the import of optional packages."""

import importlib
from types import ModuleType

from mmcoat.errors import UsageError


class ExportError(UsageError):
    """The request cannot be exported; the message says what can be."""


class VerificationError(UsageError):
    """The written program's numbers differ from PyTorch's; the message says by how much."""


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
