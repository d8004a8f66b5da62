"""Check settings that would fail late or silently give wrong results: channels, lengths, modes."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from torch import nn

from mmcoat.arch import parse_arch
from mmcoat.errors import UsageError

from .variables import datasets

_IOU_METRICS = ('mIoU', 'mDice', 'mFscore')  # MMSegmentation refuses others after the whole test
HEADS = ('decode_head', 'auxiliary_head', 'panoptic_head')


def check_channels(cfg: Config) -> None:
    """Compare ``in_channels`` of the neck, or of the heads if there is no neck, with CoaT's channels.

    Raises:
        UsageError: They differ; the message names both lists.
    """
    model = cfg.get('model') or {}
    backbone = model.get('backbone') or {}
    if backbone.get('type') != 'mmcoat.CoaT' or not backbone.get('out_indices'):
        return
    arch = backbone.get('arch', 'lite_small')
    try:
        dims = parse_arch(arch)['embed_dims']
    except ValueError as error:
        raise UsageError(f'model.backbone: {error}') from None
    try:
        given = [dims[i] for i in backbone['out_indices']]
    except (TypeError, IndexError):
        return  # the backbone itself reports what is wrong with them
    for name in ('neck',) if model.get('neck') else HEADS:
        parts = model.get(name) or []
        parts = list(parts) if isinstance(parts, list | tuple) else [parts]
        # only the first of several necks reads the backbone's maps
        for part in parts[:1] if name == 'neck' else parts:
            _check_part(name, part, given, arch)


def named_datasets(cfg: Config, splits: Sequence[str]) -> list[tuple[str, ConfigDict]]:
    """Return the config of each data set with its name; several sets of one dataloader are numbered.

    Raises:
        UsageError: The config has no such dataloader.
    """
    named = []
    for split in splits:
        if not cfg.get(f'{split}_dataloader'):
            raise UsageError(f'this config has no {split}_dataloader')
        parts = list(datasets(cfg, (split,)))
        for number, part in enumerate(parts, 1):
            named.append((f'{split} {number}' if len(parts) > 1 else split, part))
    return named


def _check_part(name: str, part: Mapping[str, Any], given: list[int], arch: Any) -> None:
    wanted = part.get('in_channels')
    if wanted is None:
        return
    several = isinstance(wanted, list | tuple)
    index = part.get('in_index', range(len(given)) if several else -1)
    try:
        expected = [given[i] for i in index] if several else given[index]
    except (IndexError, TypeError):
        raise UsageError(
            f'model.{name}.in_index {index} does not fit the backbone channels {given}'
        ) from None
    if (list(wanted) if several else wanted) != expected:
        raise UsageError(
            f'model.{name}.in_channels is {wanted}, but the backbone {arch} gives {given}; '
            f'set model.{name}.in_channels={expected}'
        )


def check_lengths(cfg: Config) -> None:
    """Check that a training has iterations or epochs, and check all intervals.

    Raises:
        UsageError: A number is below 1, or is not a number.
    """
    loop = cfg.get('train_cfg')
    if loop is None:
        return
    if not isinstance(loop, Mapping):
        raise UsageError(f'train_cfg must be a dict of settings, got {loop!r}')
    for key in ('max_iters', 'max_epochs', 'val_interval'):
        value = loop.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f'train_cfg.{key} must be a whole number from 1, got {value!r}')
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if type(hook.get('interval', 1)) is not int:
        raise UsageError(
            f'default_hooks.checkpoint.interval must be a whole number, got {hook["interval"]!r}'
        )
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        begin = scheduler.get('begin', 0)
        if isinstance(begin, int) and begin < 0:
            raise UsageError(
                f'param_scheduler: begin of {scheduler.get("type")} is {begin}, below 0'
            )


def check_modes(cfg: Config) -> None:
    """Check settings that fail at the first test image, or silently give wrong results.

    Raises:
        UsageError: Sliding windows have no size or step, or a detector has channels-last maps.
    """
    model = cfg.get('model')
    if not isinstance(model, Mapping):
        raise UsageError(f'the config has no model: model is {model!r}')
    test_cfg = model.get('test_cfg')
    if isinstance(test_cfg, Mapping) and test_cfg.get('mode') == 'slide':
        for key in ('crop_size', 'stride'):
            _check_pair(f"model.test_cfg.{key} (for mode='slide')", test_cfg.get(key))
    for name in ('val_evaluator', 'test_evaluator'):
        evaluators = cfg.get(name) or []
        for part in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
            wrong = set(part.get('iou_metrics', ())) - set(_IOU_METRICS)
            if wrong:
                raise UsageError(
                    f'{name}.iou_metrics has {sorted(wrong)}; it may have {_IOU_METRICS}'
                )
    detector = cfg.get('default_scope') == 'mmdet'
    if detector and (model.get('backbone') or {}).get('channels_last'):
        raise UsageError(
            "model.backbone.channels_last=True is not for detectors: MMCV's RoIAlign reads such maps as if "
            'they were contiguous; leave it out'
        )


def _check_pair(name: str, value: Any) -> None:
    pair = isinstance(value, list | tuple) and len(value) == 2
    if not pair or not all(type(side) is int and side > 0 for side in value):
        raise UsageError(f'{name} must be two positive whole numbers, got {value!r}')


def require_trainable(model: nn.Module) -> None:
    """Refuse to train a model whose parameters are all frozen.

    Raises:
        UsageError: No parameter is trainable.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(
            'nothing in the model learns: all its parameters are frozen (model.backbone.frozen_stages, '
            'requires_grad)'
        )
