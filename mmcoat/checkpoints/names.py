"""Parameter names: the official code's, timm's and MMDetection 2.x's, and mmcoat's.

The three foreign forms share the official names. They hold shared modules under several names (each block
repeats its stage's position encodings, a parallel block its MLP); here every tensor has one name. Aliases
are checked to be equal before they are dropped.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .errors import CheckpointError

OFFICIAL_MARK = 'cls_token1'  # every official file has it, no file of ours
OWN_MARK = 'stages.0.cls_token'

# (official name, our name); {s} stands for the stage, from 1 there and from 0 here.
_RULES = [
    (r'cls_token(?P<s>\d+)', r'stages.{s}.cls_token'),
    (r'patch_embed(?P<s>\d+)\.(?P<r>.+)', r'stages.{s}.patch_embed.{r}'),
    (r'cpe(?P<s>\d+)\.(?P<r>.+)', r'stages.{s}.cpe.{r}'),
    (r'crpe(?P<s>\d+)\.conv_list\.(?P<r>.+)', r'stages.{s}.crpe.convs.{r}'),
    (r'serial_blocks(?P<s>\d+)\.\d+\.cpe\.(?P<r>.+)', r'stages.{s}.cpe.{r}'),
    (
        r'serial_blocks(?P<s>\d+)\.\d+\.factoratt_crpe\.crpe\.conv_list\.(?P<r>.+)',
        r'stages.{s}.crpe.convs.{r}',
    ),
    (
        r'serial_blocks(?P<s>\d+)\.(?P<b>\d+)\.factoratt_crpe\.(?P<r>.+)',
        r'stages.{s}.blocks.{b}.attn.{r}',
    ),
    (r'serial_blocks(?P<s>\d+)\.(?P<b>\d+)\.(?P<r>.+)', r'stages.{s}.blocks.{b}.{r}'),
    (
        r'parallel_blocks\.(?P<b>\d+)\.norm(?P<n>[12])(?P<s>\d+)\.(?P<r>.+)',
        r'parallel_blocks.{b}.branches.{s}.norm{n}.{r}',
    ),
    (
        r'parallel_blocks\.\d+\.factoratt_crpe(?P<s>\d+)\.crpe\.conv_list\.(?P<r>.+)',
        r'stages.{s}.crpe.convs.{r}',
    ),
    (
        r'parallel_blocks\.(?P<b>\d+)\.factoratt_crpe(?P<s>\d+)\.(?P<r>.+)',
        r'parallel_blocks.{b}.branches.{s}.attn.{r}',
    ),
    (r'parallel_blocks\.(?P<b>\d+)\.mlp\d+\.(?P<r>.+)', r'parallel_blocks.{b}.mlp.{r}'),
    (r'norm(?P<s>\d+)\.(?P<r>.+)', r'norms.{s}.{r}'),
    (r'(?P<r>aggregate\..+)', r'{r}'),
]
_COMPILED = [(re.compile(pattern), target) for pattern, target in _RULES]

# Every name that a CoaT backbone of ours can have.
_W = r'(weight|bias)'
_ATTENTION = rf'(norm[12]|attn\.(qkv|proj))\.{_W}'
_OWN = re.compile(
    rf'stages\.\d+\.(cls_token|patch_embed\.(proj|norm)\.{_W}|cpe\.proj\.{_W}|crpe\.convs\.\d+\.{_W})'
    rf'|stages\.\d+\.blocks\.\d+\.({_ATTENTION}|mlp\.fc[12]\.{_W})'
    rf'|parallel_blocks\.\d+\.(branches\.\d+\.{_ATTENTION}|mlp\.fc[12]\.{_W})'
    rf'|norms\.\d+\.{_W}|aggregate\.{_W}'
)

# What a backbone without use for it leaves out: the classifier, and the final norms of the class embedding.
CLASSIFIER = re.compile(r'(norms\.\d+|aggregate|head)\.')


def own_name(key: str) -> str | None:
    """Return our name of an official one, None for a name that the official backbone does not have."""
    for pattern, target in _COMPILED:
        match = pattern.fullmatch(key)
        if match:
            groups = match.groupdict()
            if 's' in groups:
                groups['s'] = str(int(groups['s']) - 1)
            return target.format(**groups)
    return None


def is_own_name(key: str) -> bool:
    """Say whether a CoaT backbone of ours, of any number of stages, can have a tensor of that name."""
    return _OWN.fullmatch(key) is not None


def own_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state_dict`` under our names; names that are not official stay as they are.

    Raises:
        CheckpointError: Two names of one shared tensor hold different values.
    """
    if OFFICIAL_MARK not in state_dict:
        return dict(state_dict)
    result: dict[str, Tensor] = {}
    source: dict[str, str] = {}
    for key, value in state_dict.items():
        name = own_name(key) or key
        if name in result and not _same(result[name], value):
            raise CheckpointError(
                f'{key} and {source[name]} are one shared tensor in CoaT, but differ in this file: '
                'it is damaged, or was trained with modules that are not shared'
            )
        if name not in result:
            result[name], source[name] = value, key
    return result


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))


def drop_classifier(state_dict: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Leave out the classifier's tensors that ``model`` has no place for, and nothing else."""
    expected = model.state_dict().keys()
    return {
        key: value
        for key, value in state_dict.items()
        if key in expected or not CLASSIFIER.match(key)
    }


def convert_in_place(state_dict: dict[str, Any], prefix: str, model: nn.Module) -> None:
    """Translate the official names under ``prefix`` of ``state_dict``; leave all others alone.

    Raises:
        CheckpointError: The official weights do not fit. MMEngine's loader would log that and go on.
    """
    if prefix + OFFICIAL_MARK not in state_dict:
        return
    inner = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    weights, expected = drop_classifier(own_state_dict(inner), model), model.state_dict()
    problems = mismatches(weights, expected)
    if problems:
        raise CheckpointError(
            f'these official weights seem to be of {guess_arch(weights)}, the backbone is '
            f'{guess_arch(expected)}. ' + '; '.join(problems)
        )
    for key in inner:
        del state_dict[prefix + key]
    state_dict.update({prefix + key: value for key, value in weights.items()})


def guess_arch(state_dict: Mapping[str, Tensor]) -> str:
    """Say in words which arch the weights (under our names) seem to be of."""
    from mmcoat.arch import ARCH_ZOO  # the models import this package when they are defined

    dims, depths, stage = [], [], 0
    while f'stages.{stage}.cls_token' in state_dict:
        dims.append(state_dict[f'stages.{stage}.cls_token'].shape[-1])
        depths.append(count_indices(state_dict, rf'stages\.{stage}\.blocks\.(\d+)\.'))
        stage += 1
    if not dims:
        return 'no CoaT at all'
    parallel = count_indices(state_dict, r'parallel_blocks\.(\d+)\.')
    found = dict(embed_dims=dims, serial_depths=depths, parallel_depth=parallel)
    for name, arch in ARCH_ZOO.items():
        if all(arch[key] == value for key, value in found.items()):
            return f'arch {name!r}'
    return f'a custom arch with {found}'


def count_indices(state_dict: Mapping[str, Tensor], pattern: str) -> int:
    """Return how many different indices the group of ``pattern`` finds at the beginning of names."""
    matches = (re.match(pattern, key) for key in state_dict)
    return len({match.group(1) for match in matches if match})


def mismatches(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps ``weights`` from loading into ``expected``, in words."""
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected]
    shapes = [
        f'{key} is {tuple(weights[key].shape)} instead of {tuple(value.shape)}'
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    ]
    problems = (('missing', missing), ('unexpected', unexpected), ('of another shape', shapes))
    return [f'{len(keys)} {what}: {_some(keys)}' for what, keys in problems if keys]


def _some(keys: list[str], shown: int = 4) -> str:
    rest = f' and {len(keys) - shown} more' if len(keys) > shown else ''
    return ', '.join(keys[:shown]) + rest
