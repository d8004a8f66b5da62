"""Hooks, train loops, optimizer constructors and parameter schedulers, as in OpenMMLab's ``engine``."""

from .hooks import (
    CheckpointHook,
    CheckWeightsHook,
    FiniteLossHook,
    StopSignalHook,
    UnwrapCheckpointHook,
)
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .optim_wrappers import CPUAmpOptimWrapper
from .optimizers import LayerDecayOptimWrapperConstructor
from .schedulers import TimmCosineLR

__all__ = [
    'CPUAmpOptimWrapper',
    'CheckWeightsHook',
    'CheckpointHook',
    'DebugNanHook',
    'EpochBasedTrainLoop',
    'FiniteLossHook',
    'IterBasedTrainLoop',
    'LayerDecayOptimWrapperConstructor',
    'StopSignalHook',
    'TimmCosineLR',
    'UnwrapCheckpointHook',
]
