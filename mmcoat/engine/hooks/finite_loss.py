"""Stop a training whose loss is NaN or infinite."""

import logging
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from mmcoat.errors import UsageError
from mmcoat.registry import HOOKS


class NonFiniteError(UsageError):
    """A loss or a weight is NaN or infinite."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at a NaN or infinite loss: name the iteration, the files of the batch, the last good checkpoint.

    On a GPU the losses stay on the device, and are checked together every ``interval`` iterations and before
    each checkpoint. So each check costs one synchronisation, and the message still names the right iteration.
    Without a GPU every loss is checked at once. No checkpoint is saved with a loss or weights that are not
    finite.

    Args:
        interval: Iterations between two checks on a GPU.
        stop: False continues, with one warning per check.
    """

    priority = 'ABOVE_NORMAL'  # before the logger; before the checkpoint hook

    def __init__(self, interval: int = 50, stop: bool = True) -> None:
        if interval < 1:
            raise NonFiniteError(f'FiniteLossHook: interval must be at least 1, got {interval}')
        self.interval, self.stop = interval, stop
        self._seen: list[tuple[int, Tensor, list[str]]] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the loss; check all kept losses after every ``interval`` iterations."""
        loss = (outputs or {}).get('loss')
        if not isinstance(loss, Tensor):
            return
        self._seen.append((runner.iter + 1, loss.detach().float().sum(), image_paths(data_batch)))
        if loss.device.type == 'cpu' or len(self._seen) >= self.interval:
            self._look(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to save if the loss or the weights are not finite."""
        self._look(runner)
        bad = [
            name
            for name, value in checkpoint.get('state_dict', {}).items()
            if isinstance(value, Tensor) and value.is_floating_point() and not _is_finite(value)
        ]
        if bad:
            at = checkpoint.get('meta', {}).get('iter', runner.iter)
            self._tell(runner, f'iteration {at}: {len(bad)} weights are not finite ({bad[0]}, ...)')

    def _look(self, runner: Runner) -> None:
        seen, self._seen = self._seen, []
        if not seen:
            return
        finite = torch.stack([loss for _, loss, _ in seen]).isfinite().tolist()
        bad = [entry for entry, good in zip(seen, finite, strict=True) if not good]
        if bad:
            iteration, loss, files = bad[0]
            names = ', '.join(files) or 'unknown'
            self._tell(runner, f'iteration {iteration}: the loss is {loss.item()}; batch: {names}')

    def _tell(self, runner: Runner, what: str) -> None:
        last = runner.message_hub.runtime_info.get('last_ckpt') or 'none yet'
        advice = 'a lower learning rate or clip_grad may help, default_hooks.finite_loss.stop=False continues'
        message = f'{what}; last good checkpoint: {last}; {advice}'
        if self.stop:
            raise NonFiniteError(message)
        print_log(message, logger='current', level=logging.WARNING)


def image_paths(batch: Any) -> list[str]:
    """Return the files of a batch packed by OpenMMLab's pipelines."""
    samples = batch.get('data_samples', []) if isinstance(batch, dict) else []
    paths = [getattr(sample, 'img_path', None) for sample in samples or []]
    return [str(path) for path in paths if path]


def _is_finite(value: Tensor) -> bool:
    # the sum first: one pass, no mask; it may overflow for finite values, so a second check decides
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
