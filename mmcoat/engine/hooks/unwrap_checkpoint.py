"""Prepare official weights for hooks that read ``state_dict``."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcoat.checkpoints import unwrap_in_place
from mmcoat.registry import HOOKS


@HOOKS.register_module()
class UnwrapCheckpointHook(Hook):
    """Make hooks that read ``checkpoint['state_dict']``, such as EMAHook, work with official files too.

    Official files keep weights under 'model'. Models unwrap these themselves, but hooks see a checkpoint
    before the model does.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the weights under 'state_dict'."""
        if 'state_dict' not in checkpoint:
            unwrap_in_place(checkpoint)
            weights = dict(checkpoint)
            checkpoint.clear()
            checkpoint['state_dict'] = weights
