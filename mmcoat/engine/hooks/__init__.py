"""Hooks for MMEngine's runners."""

from .checkpoint import CheckpointHook
from .finite_loss import FiniteLossHook, NonFiniteError
from .stop_signal import StopSignalHook
from .unwrap_checkpoint import UnwrapCheckpointHook

__all__ = [
    'CheckpointHook',
    'FiniteLossHook',
    'NonFiniteError',
    'StopSignalHook',
    'UnwrapCheckpointHook',
]
