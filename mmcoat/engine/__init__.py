"""OpenMMLab's engine room: hooks, optimizer constructors, parameter schedulers."""

from .hooks import UnwrapCheckpointHook
from .optimizers import LayerDecayOptimWrapperConstructor

__all__ = ['LayerDecayOptimWrapperConstructor', 'UnwrapCheckpointHook']
