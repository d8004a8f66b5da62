"""Runners: build them, load weights strictly, compile the backbone."""

import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmcoat import checkpoints
from mmcoat.errors import UsageError

from .failures import BuildError, explain, last_line

_MMENGINE_HOOKS = {
    'checkpoint',
    'logger',
    'param_scheduler',
    'runtime_info',
    'sampler_seed',
    'timer',
}


def build_runner(cfg: Config) -> Runner:
    """Build MMEngine's Runner, or the runner in the config.

    Raises:
        BuildError: A part of the config cannot be built.
    """
    hooks = cfg.get('default_hooks') or {}
    for name in set(hooks) - _MMENGINE_HOOKS:
        if hooks[name] is None:  # MMEngine accepts None only for its own hooks
            del hooks[name]
    try:
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    except Exception as error:  # everything in it depends on the config
        told = explain(error)
        if told is None:
            told = BuildError(f'no run can be built: {type(error).__name__}: {last_line(error)}')
        raise told from (None if told is error else error)


def bare_model(runner: Runner) -> nn.Module:
    """Return the runner's model without the wrapper for distributed training."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def compile_backbone(runner: Runner) -> None:
    """Let ``torch.compile`` compile the backbone at its first forward pass; weights keep their names.

    The heads are not compiled: their sampling and post-processing depend on the data, and would be compiled
    again and again, in many small pieces.

    Raises:
        UsageError: The model has no backbone.
    """
    model = bare_model(runner)
    if isinstance(model, BaseTTAModel):
        model = model.module
    if not isinstance(getattr(model, 'backbone', None), nn.Module):
        raise UsageError(
            f'--compile needs a model with a backbone; {type(model).__name__} has none'
        )
    model.backbone.compile()


def load_strictly(runner: Runner, checkpoint: str) -> None:
    """Load the weights of the runner's whole model; see :func:`load_model`."""
    # Not runner.load_checkpoint: hooks such as EMAHook are not ready before the run; they take the model's
    # weights at     # its start. 'state_dict' of a checkpoint has the averaged weights.
    load_model(bare_model(runner), checkpoint)


def load_model(model: nn.Module, checkpoint: str) -> dict[str, Any]:
    """Load a whole model's weights; unlike MMEngine's default, anything that does not fit is an error.

    Returns:
        The checkpoint; in MMEngine's files, classes and palette are in ``meta.dataset_meta``.

    Raises:
        CheckpointError: The file cannot be read, is unsafe, or does not have this model's weights.
    """
    try:
        # MMEngine's loader is mmcoat's safe reader here; asking ensure_safe first would read the file twice
        loaded = load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        # read again, to describe its content
        weights = checkpoints.find_state_dict(checkpoints.read_checkpoint(checkpoint), checkpoint)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise checkpoints.CheckpointError(
            f'{checkpoint} does not fit the model of this config: it holds '
            f'{checkpoints.describe(weights)}; the model has {checkpoints.describe(model.state_dict())}: '
            f'{"; ".join(lines)[:600]}'
        ) from None
    checkpoints.check_numbers(checkpoints.find_state_dict(loaded, checkpoint), checkpoint)
    print_log(f'Weights of {checkpoint} fit exactly.', logger='current', level=logging.INFO)
    return loaded
