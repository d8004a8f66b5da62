"""OpenMMLab's engine room: hooks, train loops, optimizer constructors, parameter schedulers."""

from .hooks import CheckpointHook, FiniteLossHook, StopSignalHook, UnwrapCheckpointHook
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optimizers import LayerDecayOptimWrapperConstructor
from .schedulers import TimmCosineLR

__all__ = [
    'CheckpointHook',
    'EpochBasedTrainLoop',
    'FiniteLossHook',
    'IterBasedTrainLoop',
    'LayerDecayOptimWrapperConstructor',
    'StopSignalHook',
    'TimmCosineLR',
    'UnwrapCheckpointHook',
]
