"""Which form of a model the inferencer and ``tools/test.py`` run."""

import copy
from typing import Any

from mmengine.runner import Runner
from torch import nn

from mmcoat import runs
from mmcoat.errors import UsageError
from mmcoat.models.prepare import prepare_for_inference

from .label_maps import spare_memory
from .models import DTYPES


def ready(model: nn.Module, precision: str, prepare: bool, sparing: bool) -> nn.Module:
    """Return the model that runs; ``model`` itself stays as it is.

    Args:
        model: In evaluation mode, on its device.
        precision: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        prepare: Cast, merge and pack its weights once.
        sparing: Make label maps without scores at full size.

    Raises:
        UsageError: ``sparing``, and the model is no segmentor.
    """
    if sparing:
        model = spare_memory(copy.copy(model))
    return prepare_for_inference(model, DTYPES[precision]) if prepare else model


def set_up_test(runner: Runner, prepare: str | None, sparing: bool) -> None:
    """Let a runner test a prepared model, one that spares memory, or both.

    Args:
        runner: Built, with its weights loaded.
        prepare: A precision, or None.
        sparing: See :func:`ready`.

    Raises:
        UsageError: The model is distributed, or see :func:`ready`.
    """
    if not prepare and not sparing:
        return
    model: Any = runs.bare_model(runner)
    if model is not runner.model:
        raise UsageError('--prepare and --spare-memory are for one process, this run has several')
    runner.model = ready(model, prepare or 'fp32', prepare is not None, sparing)
