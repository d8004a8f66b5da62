"""OpenMMLab's engine room: hooks, optimizer constructors, parameter schedulers."""

from .hooks import UnwrapCheckpointHook
from .optimizers import LayerDecayOptimWrapperConstructor
from .schedulers import TimmCosineLR

__all__ = ['LayerDecayOptimWrapperConstructor', 'TimmCosineLR', 'UnwrapCheckpointHook']
