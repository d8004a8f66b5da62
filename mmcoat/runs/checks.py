"""Check what the heads expect against what the backbone gives, before a run is built."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

from mmcoat.arch import parse_arch
from mmcoat.errors import UsageError

from .variables import datasets

HEADS = ('decode_head', 'auxiliary_head', 'panoptic_head')


def check_channels(cfg: Config) -> None:
    """Compare ``in_channels`` of the neck, or without one of the heads, with CoaT's channels.

    Raises:
        UsageError: They differ; the message names both lists.
    """
    model = cfg.get('model') or {}
    backbone = model.get('backbone') or {}
    if backbone.get('type') != 'mmcoat.CoaT' or not backbone.get('out_indices'):
        return
    dims = parse_arch(backbone['arch'])['embed_dims']
    given = [dims[i] for i in backbone['out_indices']]
    for name in ('neck',) if model.get('neck') else HEADS:
        parts = model.get(name) or []
        parts = list(parts) if isinstance(parts, list | tuple) else [parts]
        # of several necks only the first sees the backbone
        for part in parts[:1] if name == 'neck' else parts:
            _check_part(name, part, given, backbone['arch'])


def named_datasets(cfg: Config, splits: Sequence[str]) -> list[tuple[str, ConfigDict]]:
    """Return the config of each data set with its name; several of one dataloader are counted.

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
