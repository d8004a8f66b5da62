"""MMEngine's CheckpointHook, safe against a kill at any moment."""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import Runner

from mmcoat.checkpoints.atomic import write_whole
from mmcoat.engine.atomic import BACKEND
from mmcoat.registry import HOOKS

_OUTDATED = 'outdated_ckpts'


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """Save checkpoints so that a complete one exists at every moment.

    A file is written under a temporary name, flushed to the disk and renamed. Then ``last_checkpoint`` is
    updated, and outdated files are deleted last. MMEngine's own hook deletes first, and writes in place. The
    arguments are MMEngine's. Remote storage, and model wrappers that save folders, work as in MMEngine.
    """

    def before_train(self, runner: Runner) -> None:
        """Determine where to write, and with which backend."""
        super().before_train(runner)
        # exact type: subclasses (such as Petrel) have their own way of writing
        self._local = self.file_client_args is None and type(self.file_backend) is LocalBackend
        if self._local:
            self.backend_args = {'backend': BACKEND}
            self.file_backend = get_file_backend(self.out_dir, backend_args=self.backend_args)

    def save_now(self, runner: Runner, step: int) -> str:
        """Save after ``step`` iterations, at any point of an epoch; return the path."""
        meta = dict(epoch=runner.epoch, iter=step)
        if not self.by_epoch:
            self._save_checkpoint_with_step(runner, step, meta)
            return str(self.last_ckpt)
        # Its name has the iteration, those of regular checkpoints the epoch; the next regular one makes it
        # outdated.
        name = f'iter_{step}.pth'
        outdated = runner.message_hub.runtime_info.get(_OUTDATED, [])
        runner.message_hub.update_info(_OUTDATED, [*outdated, name])
        self._save(runner, name, meta)
        return str(self.last_ckpt)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        """Save under the step's name, update ``last_checkpoint``, then delete; MMEngine's hook calls this."""
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            self._count_in(runner, step)
        self._save(runner, self.filename_tmpl.format(step), meta)
        self._remove_outdated(runner)

    def _count_in(self, runner: Runner, step: int) -> None:
        """Record the step and, in the checkpoint itself, which files are outdated once it is written."""
        hub = runner.message_hub
        outdated = list(hub.runtime_info.get(_OUTDATED, []))
        if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
        self.keep_ckpt_ids.append(step)
        hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        hub.update_info(_OUTDATED, outdated)

    def _save(self, runner: Runner, name: str, meta: dict[str, Any]) -> None:
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            pointer = Path(runner.work_dir, 'last_checkpoint')
            write_whole(os.fsencode(str(self.last_ckpt)), pointer)

    def _remove_outdated(self, runner: Runner) -> None:
        # A run that was killed before this point has the list in its checkpoint; it deletes these files at
        # its next save.
        for name in runner.message_hub.runtime_info.pop(_OUTDATED, []):
            path = self.file_backend.join_path(self.out_dir, name)
            if is_main_process() and path != self.last_ckpt:
                self._remove(path)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed saves folders
            self.file_backend.rmtree(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the best checkpoint, then delete the previous best; MMEngine deletes first."""
        backend = self.file_backend
        self.file_backend = later = _RemoveLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        kept = set(self._best_paths())
        for path in later.paths:
            if path not in kept and is_main_process():
                self._remove(path)

    def _best_paths(self) -> list[str]:
        paths = [getattr(self, 'best_ckpt_path', None)]
        paths += getattr(self, 'best_ckpt_path_dict', {}).values()
        return [str(path) for path in paths if path]


class _RemoveLater:
    """A file backend that records which files to remove."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.paths.append(path)

    rmtree = remove
