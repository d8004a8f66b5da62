"""Convert whole checkpoint files between the official codes', timm's, MMDetection 2.x's and mmcoat's form.

mmcoat's form is what a model of the toolboxes saves: ``backbone.`` and, for a classifier, ``head.fc.``; a
backbone without head has bare names.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .conversion import Conversion, Form
from .deformable_detr import OFFICIAL_MARK as DEFORMABLE_DETR_MARK
from .deformable_detr import mmdet_name, mmdet_state_dict
from .errors import CheckpointError
from .files import check_numbers, find_state_dict, read_checkpoint
from .names import (
    CLASSIFIER,
    OFFICIAL_MARK,
    OWN_MARK,
    count_indices,
    guess_arch,
    is_own_name,
    own_name,
    own_state_dict,
)
from .writing import write_checkpoint

TARGETS = ('own', 'official', 'timm')
NUM_STAGES = 4  # of the official code and timm's
BACKBONE = 'backbone.'
DEFORMABLE_DETR_BACKBONE = 'backbone.0.backbone.'
HEAD, OWN_HEAD = 'head.', 'head.fc.'
UNUSED_NORM = 'final norm of a scale that the class embedding does not use'
# Modules beside the backbone whose names are the same in MMDetection 2.x, the current toolboxes and here.
OTHER_MODULES = (
    'neck',
    'rpn_head',
    'roi_head',
    'bbox_head',
    'mask_head',
    'decode_head',
    'auxiliary_head',
    'head',
    'data_preprocessor',
)


# ---------------------------------------------------------------------- to our form


def _classifier_to_own(weights: Mapping[str, Tensor]) -> Conversion:
    """Official and timm classifiers, with or without head: bare official names."""
    has_head = any(key.startswith(HEAD) for key in weights)
    body = {key: value for key, value in weights.items() if not key.startswith(HEAD)}
    result = _backbone_to_own(body, '', BACKBONE if has_head else '')
    for key, value in weights.items():
        if key.startswith(HEAD):
            result.take(key, OWN_HEAD + key[len(HEAD) :], value)
    return result


def _model_to_own(weights: Mapping[str, Tensor]) -> Conversion:
    """MMDetection 2.x models: official names under ``backbone.``, other modules named as today."""
    body = {k[len(BACKBONE) :]: v for k, v in weights.items() if k.startswith(BACKBONE)}
    result = _backbone_to_own(body, BACKBONE, BACKBONE)
    others = {k: v for k, v in weights.items() if not k.startswith(BACKBONE)}
    _refuse([key for key in others if key.split('.')[0] not in OTHER_MODULES])
    result.weights |= others
    return result


def _deformable_detr_to_own(weights: Mapping[str, Tensor]) -> Conversion:
    """Official Deformable DETR: MMDetection's names and classes, the backbone without its classifier."""
    converted = mmdet_state_dict(weights)  # refuses unknown names
    names = {key: mmdet_name(key) for key in weights}
    body, classifier = {}, []
    for key, name in names.items():
        if name.startswith(BACKBONE):
            inner = name[len(BACKBONE) :]
            if CLASSIFIER.match(own_name(inner) or inner):
                classifier.append((key, "the backbone's ImageNet classifier"))
            else:
                body[inner] = weights[key]
    result = _backbone_to_own(body, DEFORMABLE_DETR_BACKBONE, BACKBONE)
    result.dropped += classifier
    for key, name in names.items():
        if not name.startswith(BACKBONE):
            result.take(key, name, converted[name])
    return result


def _backbone_to_own(body: Mapping[str, Tensor], old: str, new: str) -> Conversion:
    """Translate a backbone; ``old`` and ``new`` are the prefixes that its names have in the two forms."""
    _refuse([old + key for key in body if not is_own_name(own_name(key) or '')])
    values = own_state_dict(body)  # refuses aliases that differ
    unused = _unused_norms(values)
    result, first = Conversion(), {}
    for key in body:
        name = own_name(key)
        if name.rpartition('.')[0] in unused:
            result.dropped.append((old + key, UNUSED_NORM))
        elif name in first:
            result.merged.append((old + key, old + first[name]))
        else:
            first[name] = key
            result.take(old + key, new + name, values[name])
    return result


def _unused_norms(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the final norms, under our names, that the official code defines and does not use."""
    used = _parallel_stages(weights) or [NUM_STAGES - 1]
    return [f'norms.{stage}' for stage in range(NUM_STAGES) if stage not in used]


def _parallel_stages(weights: Mapping[str, Tensor]) -> list[int]:
    matches = (re.match(r'parallel_blocks\.\d+\.branches\.(\d+)\.', key) for key in weights)
    return sorted({int(match.group(1)) for match in matches if match})


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise CheckpointError(
            f'{len(unknown)} tensors are unknown, the first of them {unknown[:5]}; nothing is converted'
        )


def _own_to_own(weights: Mapping[str, Tensor]) -> Conversion:
    return Conversion(weights=dict(weights))


# The forms that can be read, tried in this order. A new one is one more entry: a predicate on the names, and
# a function that returns a Conversion.
FORMS = [
    Form('mmcoat', lambda w: OWN_MARK in w or BACKBONE + OWN_MARK in w, _own_to_own),
    Form('Deformable DETR', lambda w: DEFORMABLE_DETR_MARK in w, _deformable_detr_to_own),
    Form('official or timm', lambda w: OFFICIAL_MARK in w, _classifier_to_own),
    Form('MMDetection 2.x', lambda w: BACKBONE + OFFICIAL_MARK in w, _model_to_own),
]


def to_own(weights: Mapping[str, Tensor]) -> tuple[str, Conversion]:
    """Return the name of the form that ``weights`` have, and their conversion to ours.

    Raises:
        CheckpointError: The form, or a tensor in it, is unknown.
    """
    for form in FORMS:
        if form.recognises(weights):
            return form.name, form.to_own(weights)
    names = ', '.join(form.name for form in FORMS)
    raise CheckpointError(
        f'no known form ({names}); the first keys are {list(weights)[:5]}; nothing is converted'
    )


# ---------------------------------------------------------------------- from our form


def from_own(weights: Mapping[str, Tensor], target: str) -> Conversion:
    """Convert weights of our form to ``'official'`` or ``'timm'`` names, with the aliases of both.

    A classifier or bare backbone gets bare names. Of a segmenter or detector the official form keeps all
    modules, with the backbone under ``backbone.`` as in the official MMDetection 2.x files; timm has
    classifiers only, so its form takes the backbone alone.

    Raises:
        CheckpointError: A tensor is unknown, or the backbone is not one that those codes can build.
    """
    prefix = BACKBONE if BACKBONE + OWN_MARK in weights else ''
    body = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
    others = {k: v for k, v in weights.items() if prefix and not k.startswith(prefix)}
    if f'stages.{NUM_STAGES - 1}.cls_token' not in body or f'stages.{NUM_STAGES}.cls_token' in body:
        raise CheckpointError(f'{target} has {NUM_STAGES} stages; this is {guess_arch(body)}')
    is_classifier = all(key.startswith(OWN_HEAD) for key in others)
    keep_others = target == 'official' and not is_classifier
    result = _backbone_from_own(body, prefix, prefix if keep_others else '', target)
    for key, value in others.items():
        if is_classifier:
            result.take(key, HEAD + key[len(OWN_HEAD) :], value)
        elif keep_others:
            result.weights[key] = value
        else:
            result.dropped.append((key, 'timm has no such module'))
    return result


def _backbone_from_own(body: Mapping[str, Tensor], old: str, new: str, target: str) -> Conversion:
    stages = range(NUM_STAGES)
    depths = [count_indices(body, rf'stages\.{stage}\.blocks\.(\d+)\.') for stage in stages]
    num_parallel = count_indices(body, r'parallel_blocks\.(\d+)\.')
    parallel = _parallel_stages(body)
    _refuse([old + key for key in body if not is_own_name(key)])
    names = {key: _foreign_names(key, depths, parallel, num_parallel) for key in body}
    result = Conversion()
    for key, value in body.items():
        first, *aliases = names[key]
        result.take(old + key, new + first, value)
        for alias in aliases:
            result.weights[new + alias] = value
            result.added.append((new + alias, f'alias of {first}'))
    if target == 'official':
        _add_unused_norms(body, new, result)
    return result


def _foreign_names(
    key: str, depths: list[int], parallel: list[int], num_parallel: int
) -> list[str]:
    """Return the official name of one of ours, and then its aliases."""
    found = re.fullmatch(
        r'stages\.(\d+)\.(cls_token|patch_embed|cpe|crpe\.convs|blocks)(?:\.(.+))?', key
    )
    if found:
        return _foreign_stage_names(
            int(found[1]), found[2], found[3], depths, parallel, num_parallel
        )
    found = re.fullmatch(r'parallel_blocks\.(\d+)\.branches\.(\d+)\.(?:norm(\d)|(attn))\.(.+)', key)
    if found:
        block, stage, norm, _, rest = found.groups()
        scale = int(stage) + 1
        module = f'norm{norm}{scale}' if norm else f'factoratt_crpe{scale}'
        return [f'parallel_blocks.{block}.{module}.{rest}']
    found = re.fullmatch(r'parallel_blocks\.(\d+)\.mlp\.(.+)', key)
    if found:
        return [f'parallel_blocks.{found[1]}.mlp{stage + 1}.{found[2]}' for stage in parallel]
    found = re.fullmatch(r'norms\.(\d+)\.(.+)', key)
    if found:
        return [f'norm{int(found[1]) + 1}.{found[2]}']
    return [key]  # aggregate


def _foreign_stage_names(
    stage: int, module: str, rest: str, depths: list[int], parallel: list[int], num_parallel: int
) -> list[str]:
    scale, depth = stage + 1, depths[stage]
    if module == 'cls_token':
        return [f'cls_token{scale}']
    if module == 'patch_embed':
        return [f'patch_embed{scale}.{rest}']
    if module == 'blocks':
        block, _, rest = rest.partition('.')
        rest = re.sub(r'^attn\.', 'factoratt_crpe.', rest)
        return [f'serial_blocks{scale}.{block}.{rest}']
    if module == 'cpe':
        blocks = [f'serial_blocks{scale}.{b}.cpe.{rest}' for b in range(depth)]
        return [f'cpe{scale}.{rest}', *blocks]
    rest = f'conv_list.{rest}'
    names = [f'crpe{scale}.{rest}']
    names += [f'serial_blocks{scale}.{b}.factoratt_crpe.crpe.{rest}' for b in range(depth)]
    if stage in parallel:
        names += [
            f'parallel_blocks.{b}.factoratt_crpe{scale}.crpe.{rest}' for b in range(num_parallel)
        ]
    return names


def _add_unused_norms(body: Mapping[str, Tensor], new: str, result: Conversion) -> None:
    """Give a classifier the norms that the official code expects and does not use, as initialised."""
    if not any(key.startswith('norms.') for key in body):
        return
    for norm in _unused_norms(body):
        stage = int(norm.split('.')[1])
        channels = body[f'stages.{stage}.cls_token'].shape[-1]
        for name, make in (('weight', torch.ones), ('bias', torch.zeros)):
            key = f'{new}norm{stage + 1}.{name}'
            if key not in result.weights:
                result.weights[key] = make(channels)
                result.added.append((key, f'{UNUSED_NORM}, as initialised'))


# ---------------------------------------------------------------------- files


def convert_file(source: str, target: Path, to: str = 'own', force: bool = False) -> Conversion:
    """Convert a checkpoint file and write the result, ``.pth`` or ``.safetensors``.

    Args:
        source: File, URL or ``mmcoat://NAME``.
        target: File to write.
        to: One of :data:`TARGETS`.
        force: Overwrite ``target``.

    Raises:
        CheckpointError: Unreadable, unknown, or ``target`` exists.
        ValueError: ``to`` is not one of the targets.
    """
    if to not in TARGETS:
        raise ValueError(f'to must be one of {TARGETS}, got {to!r}')
    checkpoint = read_checkpoint(source)
    weights = find_state_dict(checkpoint)
    check_numbers(weights, source)
    form, result = to_own(weights)
    if to != 'own':
        if form != FORMS[0].name:
            # The account of the second step names tensors of the file, so it must be ours already.
            raise CheckpointError(f'{source} has the {form} form; convert it to own first')
        result = from_own(weights, to)
    result.dropped += _beside_weights(checkpoint, weights)
    write_checkpoint(_wrap(result.weights, to), target, force)
    return result


def _beside_weights(
    checkpoint: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> list[tuple[str, str]]:
    holders = ('state_dict', 'model')
    return [(str(k), 'no weights') for k in checkpoint if k not in weights and k not in holders]


def _wrap(weights: dict[str, Tensor], to: str) -> dict[str, Any]:
    if to == 'timm':
        return dict(weights)
    is_model = any(key.startswith(BACKBONE) for key in weights)
    return {'state_dict' if to == 'own' or is_model else 'model': dict(weights)}
