"""Find the module that first outputs NaN or infinity."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmcoat.registry import HOOKS

from .finite_loss import NonFiniteError, image_paths


@HOOKS.register_module()
class DebugNanHook(Hook):
    """Check every module's output, and stop at the first that is not finite (``train.py --debug-nan``).

    The message names the module by its path in the model, and the iteration. Inner modules finish before the
    modules that contain them, so the name is that of the innermost module. The message describes its inputs,
    weights and outputs; weights that are not finite come from an earlier step. Each check waits for the GPU,
    so training is much slower.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self._place = ''

    def before_train(self, runner: Runner) -> None:
        """Watch every module of the model."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._handles = [
            module.register_forward_hook(self._watch(name or type(module).__name__))
            for name, module in model.named_modules()
        ]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Record the iteration and the batch, for the message."""
        files = ', '.join(image_paths(data_batch)) or 'unknown'
        self._place = f'iteration {runner.iter + 1}, batch: {files}'

    def after_train(self, runner: Runner) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()

    def _watch(self, name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            bad = [tensor for tensor in _tensors(output) if not _finite(tensor)]
            if not bad:
                return
            weights = [n for n, p in module.named_parameters() if not _finite(p)]
            raise NonFiniteError(
                f'{name} ({type(module).__name__}) is the first module with an output that is not finite: '
                f'{_describe(bad[0])}; its inputs are {_state(inputs)}, '
                f'its weights {"not finite: " + ", ".join(weights[:3]) if weights else "finite"}; '
                f'{self._place}'
            )

        return look


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the floating-point tensors inside tuples, lists and dicts."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from _tensors(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _tensors(child)


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())


def _state(inputs: Any) -> str:
    found = list(_tensors(inputs))
    if not found:
        return 'no numbers'
    return 'finite' if all(_finite(tensor) for tensor in found) else 'not finite'


def _describe(tensor: Tensor) -> str:
    nan, total = int(tensor.isnan().sum()), tensor.numel()
    infinite = int(tensor.isinf().sum())
    return f'{nan} NaN and {infinite} infinite of {total} values {tuple(tensor.shape)}'
