"""Hooks for MMEngine's runners."""

from .check_weights import CheckWeightsHook, fine_tune
from .checkpoint import CheckpointHook
from .debug_nan import DebugNanHook
from .finite_loss import FiniteLossHook, NonFiniteError
from .stop_signal import StopSignalHook
from .unwrap_checkpoint import UnwrapCheckpointHook

__all__ = [
    'CheckWeightsHook',
    'CheckpointHook',
    'DebugNanHook',
    'FiniteLossHook',
    'NonFiniteError',
    'StopSignalHook',
    'UnwrapCheckpointHook',
    'fine_tune',
]
