"""Check the weights that a run starts from: they must fit, and the log names new parts of the model."""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import Tensor, nn

from mmcoat.checkpoints import CheckpointError, check_numbers, find_state_dict, guess_arch
from mmcoat.registry import HOOKS

_BACKBONE = 'backbone.'
_CLASSIFIER = re.compile(
    r'(norms\.\d+|aggregate)\.'
)  # parts of a backbone that only classifiers use
_SHAPES = re.compile(
    r'size mismatch for (\S+): copying a param with shape torch\.Size\(\[(.*?)\]\) from checkpoint, '
    r'the shape in current model is torch\.Size\(\[(.*?)\]\)'
)
_SHOWN = 6  # names in a message


@HOOKS.register_module()
class CheckWeightsHook(Hook):
    """Refuse weights that do not fit; MMEngine would log that and continue with random weights.

    - ``resume`` and a test: the file must have exactly the model's tensors.
    - ``load_from`` in training (fine-tuning): the whole backbone must fit. One line of the log names the new
    parts of the model, such as a head for other classes, and the parts of the file that are left out.

    NaN, infinite and integer weights are refused everywhere.
    """

    priority = 'VERY_HIGH'  # before EMAHook, which copies the weights

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the weights, load them, and pass on the weights of the whole model.

        Raises:
            CheckpointError: They do not fit.
        """
        source = str(runner._load_from or 'the checkpoint')
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        weights = _weights(checkpoint, source)
        if runner._resume or not isinstance(runner._train_loop, BaseLoop):
            _require_all(model, weights, source)
        else:
            # complete, so MMEngine has nothing to warn about, and EMAHook takes the same weights
            checkpoint['state_dict'] = fine_tune(model, weights, source)


def fine_tune(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Load what fits, and log in one line what does not.

    Returns:
        The weights of the whole model.

    Raises:
        CheckpointError: Nothing fits, or a part of the backbone does not.
    """
    missing, unexpected, shapes = _load(model, weights, source)
    unfilled = set(missing) | set(shapes)
    names = model.state_dict().keys()
    # BatchNorm's counters may be missing: old files have none
    if not {name for name in names - unfilled if not name.endswith('num_batches_tracked')}:
        raise CheckpointError(
            f'load_from {source}: nothing in it fits the model; its first names are {list(weights)[:3]}. '
            "A backbone's weights alone go to "
            f"model.backbone.init_cfg=dict(type='Pretrained', checkpoint={source!r})"
        )
    _check_backbone(model, weights, unfilled, source)
    changed = [f'{name} {was} -> {now}' for name, (was, now) in shapes.items()]
    parts = (
        ('new in the model', _parts(missing, names)),
        ('of another shape and so new', changed),
        ('left out of the file', _parts(unexpected, weights)),
    )
    told = '; '.join(f'{what}: {_some(found)}' for what, found in parts if found)
    level = logging.WARNING if told else logging.INFO
    message = told or 'every tensor fits'
    print_log(f'load_from {source}: {message}', logger='current', level=level)
    return model.state_dict()


def _require_all(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    missing, unexpected, shapes = _load(model, weights, source)
    differing = [f'{name} {was} -> {now}' for name, (was, now) in shapes.items()]
    parts = (('missing', missing), ('unexpected', unexpected), ('of another shape', differing))
    problems = '; '.join(f'{len(names)} {what}: {_some(names)}' for what, names in parts if names)
    if problems:
        raise CheckpointError(f'{source} does not fit the model of this config: {problems}')


def _check_backbone(
    model: nn.Module, weights: Mapping[str, Tensor], unfilled: set[str], source: str
) -> None:
    """Refuse weights that leave a part of the backbone random; only norms for classifiers may stay so."""
    bad = sorted(
        name
        for name in unfilled
        if name.startswith(_BACKBONE) and not _CLASSIFIER.match(name[len(_BACKBONE) :])
    )
    if bad:
        own, theirs = _backbone(model.state_dict()), _backbone(weights)
        raise CheckpointError(
            f'load_from {source}: {len(bad)} of {len(own)} tensors of the backbone do not fit '
            f'({_some(bad)}); the file seems to hold {guess_arch(theirs)}, the model has {guess_arch(own)}'
        )


def _backbone(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(_BACKBONE) :]: v for k, v in weights.items() if k.startswith(_BACKBONE)}


def _weights(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Return the weights of a checkpoint under the names that MMEngine expects."""
    try:
        found = find_state_dict(checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f'load_from {source}: {error}') from None
    check_numbers(found, source)
    return {name.removeprefix('module.'): value for name, value in found.items()}


def _load(
    model: nn.Module, weights: Mapping[str, Tensor], source: str
) -> tuple[list[str], list[str], dict[str, tuple]]:
    """Load what fits; return the missing and the unexpected names, and both shapes where shapes differ."""
    expected = model.state_dict()
    for name, value in weights.items():
        # counters are integers in both; 8-bit integers mean a quantised file, whatever the names are
        wrong = name in expected and expected[name].is_floating_point()
        if (wrong or value.dtype in (torch.int8, torch.uint8)) and not value.is_floating_point():
            raise CheckpointError(
                f'{source} is refused: {name!r} holds {value.dtype}, which cannot be trained'
            )
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    _descend(model, dict(weights), '', (missing, unexpected, errors))
    found = (_SHAPES.match(error) for error in errors)
    shapes = {m[1]: (_shape(m[2]), _shape(m[3])) for m in found if m}
    if len(shapes) < len(errors):
        raise CheckpointError(f'{source} cannot be loaded: {errors[0]}')
    return missing, unexpected, shapes


def _descend(module: nn.Module, weights: dict[str, Tensor], prefix: str, notes: tuple) -> None:
    """Load as PyTorch does, including the modules' own translations, but continue if a shape differs."""
    module._load_from_state_dict(weights, prefix, {}, True, *notes)
    for name, child in module.named_children():
        start = f'{prefix}{name}.'
        inner = {key: value for key, value in weights.items() if key.startswith(start)}
        _descend(child, inner, start, notes)


def _shape(numbers: str) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers.split(',') if number.strip())


def _parts(names: Iterable[str], whole: Iterable[str]) -> list[str]:
    """Shorten names of tensors to whole parts of a model: decode_head, or decode_head.conv_seg."""
    bad = set(names)
    good = {name for name in whole if name not in bad}
    found: dict[str, None] = {}
    for name in sorted(bad):
        pieces = name.split('.')
        starts = ('.'.join(pieces[:n]) for n in range(1, len(pieces)))
        alone = (s for s in starts if not any(other.startswith(f'{s}.') for other in good))
        found[next(alone, name)] = None
    return list(found)


def _some(names: list[str]) -> str:
    rest = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + rest
