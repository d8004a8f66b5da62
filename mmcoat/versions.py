"""Check that the OpenMMLab packages that mmcoat needs are installed and recent enough."""

import re
from importlib import metadata

from .version import __version__

# module: (distributions that provide it, OneDL's first; lowest version that works)
REQUIRED = {
    'mmengine': (('onedl-mmengine', 'mmengine'), (0, 10, 0)),
    'mmcv': (('onedl-mmcv', 'mmcv', 'mmcv-lite'), (2, 1, 0)),
}


def installed_version(distributions: tuple[str, ...]) -> str | None:
    """Return the version of the first distribution that is installed, without importing it."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def check_versions() -> None:
    """Raise an error if MMEngine or MMCV is missing or too old.

    Raises:
        ImportError: One line that says what is wrong and how to fix it.
    """
    for module, (distributions, lowest) in REQUIRED.items():
        version = installed_version(distributions)
        wanted = '.'.join(map(str, lowest))
        if version is None:
            raise ImportError(
                f'mmcoat {__version__} needs {module}>={wanted}, which is not installed: '
                f'{_remedy()}'
            )
        if _numbers(version) < lowest:
            raise ImportError(
                f'mmcoat {__version__} needs {module}>={wanted}, found {version}: {_remedy()}'
            )


def _remedy() -> str:
    return (
        'run `pip install "mmcoat[onedl]"` (the maintained OneDL line) '
        'or `pip install "mmcoat[openmmlab]"` (upstream), see the README'
    )


def _numbers(version: str) -> tuple[int, ...]:
    """'2.1.0rc1' -> (2, 1, 0): the leading number of each of the first three parts."""
    parts = []
    for part in version.split('.')[:3]:
        digits = re.match(r'\d+', part)
        parts.append(int(digits.group()) if digits else 0)
    return tuple(parts)
