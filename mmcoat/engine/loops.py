"""MMEngine's train loops, resumable at any iteration; the result is bitwise that of an uninterrupted run.

Every checkpoint has what a resumed run needs: the seed (``meta.seed``), epoch and iteration, and the number
of finished batches of the epoch. The random state follows from these (see :mod:`mmcoat.engine.seeding`).
"""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop as _EpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as _IterBasedTrainLoop
from mmengine.runner import Runner
from torch import nn

from mmcoat.engine.batches import PositionedLoader
from mmcoat.engine.seeding import seed_iteration
from mmcoat.registry import LOOPS

_BATCHES_DONE, _VALIDATED = 'batches_done', 'validated_at'


def _run_seed(runner: Runner) -> int:
    """Return the seed shared by all processes."""
    if runner._randomness_cfg.get('diff_rank_seed', False):
        return runner.seed - get_rank()
    return runner.seed


class _Resumable:
    """Code that both loops share; this class comes before MMEngine's loop in the list of bases."""

    runner: Runner
    dataloader: PositionedLoader

    def __init__(self, runner: Runner, dataloader: Any, **settings: Any) -> None:
        if isinstance(dataloader, dict):
            diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
            dataloader = runner.build_dataloader(
                dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed
            )
        super().__init__(runner, PositionedLoader(dataloader, _run_seed(runner)), **settings)

    def run_iter(self, *arguments: Any) -> None:
        """Run one batch with its own random state."""
        seed_iteration(_run_seed(self.runner), get_rank(), self._iter)
        super().run_iter(*arguments)

    def _batches_done(self) -> int:
        """Return the number of batches of this epoch that an earlier process trained on."""
        return self.runner.message_hub.runtime_info.get(_BATCHES_DONE, 0)

    def _note(self, name: str, value: int) -> None:
        self.runner.message_hub.update_info(name, value)

    def _validate_if_due(self, step: int, end: int) -> None:
        """Validate, unless this step was already validated before its checkpoint was saved."""
        if self.runner.val_loop is None or step < self.val_begin:
            return
        done = self.runner.message_hub.runtime_info.get(_VALIDATED, 0)
        if done < step and (step % self.val_interval == 0 or step == end):
            # set before the validation, because the hook that saves the best checkpoint runs in it
            self._note(_VALIDATED, step)
            self.runner.val_loop.run()


@LOOPS.register_module()
class EpochBasedTrainLoop(_Resumable, _EpochBasedTrainLoop):
    """MMEngine's loop over epochs; a run that was stopped within an epoch continues there."""

    def run(self) -> nn.Module:
        """Train; repeat a validation that was interrupted."""
        self.runner.call_hook('before_train')
        if self._epoch and not self._batches_done():
            self._decide_current_val_interval()
            self._validate_if_due(self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            self._validate_if_due(self._epoch, self._max_epochs)
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train on the rest of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._batches_done()
        batches = self.dataloader.begin(self._epoch, skip=done)
        for number, batch in enumerate(batches, start=done):
            self._note(_BATCHES_DONE, number + 1)
            self.run_iter(number, batch)
        self._note(_BATCHES_DONE, 0)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class IterBasedTrainLoop(_Resumable, _IterBasedTrainLoop):
    """MMEngine's loop over iterations; a resumed run skips the finished batches without loading them."""

    def run(self) -> nn.Module:
        """Train; repeat a validation that was interrupted."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self._iter:
            self._decide_current_val_interval()
            self._validate_if_due(self._iter, self._max_iters)
        for batch in self._batches():
            self.runner.model.train()
            self.run_iter(batch)
            self._decide_current_val_interval()
            self._validate_if_due(self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _batches(self) -> Iterator[Any]:
        batches = self.dataloader.begin(0, skip=self._iter, endless=True)
        while self._iter < self._max_iters and not self.stop_training:
            yield next(batches)
