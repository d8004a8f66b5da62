"""Pictures of data, predictions, attention and features; see docs/visualization.md."""

import importlib
from typing import Any

_LAZY = {
    'class_token_attention': '.attention',
    'explicit_attention': '.attention',
    'pixel_attention': '.attention',
    'scale_exchange_shares': '.exchange',
    'feature_colours': '.features',
    'grad_cam': '.gradcam',
    'prepare': '.subject',
    'look': '.look',
    'capture': '..models.backbones.taps',
    'tap_names': '..models.backbones.taps',
    'taps': '..models.backbones.taps',
}
__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_LAZY[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
