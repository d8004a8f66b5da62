"""mmcoat: CoaT backbones for the OpenMMLab toolboxes. Importing it registers ``type='CoaT'``.

The import is light: PyTorch and the models are imported at the first use.
"""

import importlib
import sys
from typing import Any

from .version import __version__
from .versions import check_versions

_LAZY = {
    'ARCH_ZOO': '.arch',
    'CoaT': '.models',
    'Inferencer': '.apis',
    'checkpoints': '.checkpoints',
    'create_model': '.models.create',
    'prepare_for_inference': '.models.prepare',
    'smp': '.models.smp',
}
__all__ = [
    'ARCH_ZOO',
    'CoaT',
    'Inferencer',
    '__version__',
    'checkpoints',
    'create_model',
    'list_models',
    'prepare_for_inference',
    'smp',
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = importlib.import_module(_LAZY[name], __name__)
    return module if name in ('checkpoints', 'smp') else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def list_models() -> list[str]:
    """Return the names that ``CoaT(arch=...)`` takes."""
    from .arch import ARCH_ZOO

    return list(ARCH_ZOO)


def _coat(**settings: Any) -> Any:
    """Build the backbone; the class takes this function's place once ``mmcoat.models`` is imported."""
    return __getattr__('CoaT')(**settings)


def _register() -> None:
    """Register ``type='CoaT'``, or raise an error whose one line says which package is missing."""
    check_versions()
    from mmengine.registry import MODELS

    MODELS.register_module(name='CoaT', module=_coat)


def _is_examined() -> bool:
    """Whether ``python -m mmcoat`` imports this file. That command itself reports missing packages."""
    words = sys.orig_argv
    return sys.argv[:1] == ['-m'] and any(
        words[i : i + 2] == ['-m', 'mmcoat'] for i in range(len(words))
    )


try:
    _register()
except Exception:
    if not _is_examined():
        raise
