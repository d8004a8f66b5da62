"""Convert whole checkpoint files: from the forms of the official codes, timm and MMDetection 2.x, and back.

In mmcoat's form the names are those that a toolbox model saves: they begin with ``backbone.`` and, in a
classifier, ``head.fc.``. A backbone without head has names without prefix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import deformable_detr, files, names
from .errors import CheckpointError

TARGETS = ('own', 'official', 'timm')
NUM_STAGES = 4  # in the official code and in timm
UNUSED_NORM = 'final norm of a scale that the class embedding does not use'
# Modules beside the backbone that have the same names in MMDetection 2.x, in the current toolboxes and here.
OTHER_MODULES = {'neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head', 'decode_head'}
OTHER_MODULES |= {'auxiliary_head', 'head', 'data_preprocessor'}


@dataclass
class Conversion:
    """Converted weights, and an account of every tensor.

    Attributes:
        weights: {new name: tensor}.
        renamed: (old name, new name) of each renamed tensor.
        merged: (alias, kept name) of each alias that was left out; the kept name has the same tensor.
        dropped: (old name, reason) of each tensor that was left out.
        added: (new name, reason) of each tensor or alias that is not in the old form.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    merged: list[tuple[str, str]] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    added: list[tuple[str, str]] = field(default_factory=list)

    def take(self, old: str, new: str, value: Tensor) -> None:
        """Keep a tensor under ``new``."""
        self.weights[new] = value
        if old != new:
            self.renamed.append((old, new))

    def report(self, shown: int | None = 3) -> list[str]:
        """Return lines that say what happened; ``shown`` limits the examples of renamed and merged names."""
        lines = []
        for what, pairs, arrow, limit in (
            ('renamed', self.renamed, '->', shown),
            ('merged', self.merged, 'into', shown),
            ('added', self.added, ':', shown),
            ('dropped', self.dropped, ':', None),
        ):
            lines.append(f'{what}: {len(pairs)}')
            lines += [f'  {old} {arrow} {new}' for old, new in pairs[:limit]]
            if limit is not None and len(pairs) > limit:
                lines.append(f'  ... and {len(pairs) - limit} more')
        return lines


# ---------------------------------------------------------------------- to our form


def _bare_name(key: str) -> str | None:
    """Official and timm classifiers, with or without head."""
    if key.startswith(names.HEAD):
        return names.OWN_HEAD + key[len(names.HEAD) :]
    return _backbone_name(key)


def _model_name(key: str) -> str | None:
    """MMDetection 2.x: official names under ``backbone.``, other modules named as today."""
    if key.startswith(names.BACKBONE):
        return _backbone_name(key[len(names.BACKBONE) :])
    return key if key.split('.')[0] in OTHER_MODULES else None


def _backbone_name(key: str) -> str | None:
    name = names.translate(key)
    return name and names.BACKBONE + name


DEFORMABLE_DETR, BARE = 'Deformable DETR', 'official or timm'
# The foreign forms: each has its name in messages, a parameter name by which it is recognised, and a function
# that returns our name of a parameter, or None. A new form is one more entry.
FORMS: list[tuple[str, str, Callable[[str], str | None]]] = [
    (DEFORMABLE_DETR, deformable_detr.MARK, deformable_detr.mmdet_name),
    (BARE, names.OFFICIAL_MARK, _bare_name),
    ('MMDetection 2.x', names.BACKBONE + names.OFFICIAL_MARK, _model_name),
]


def to_own(weights: Mapping[str, Tensor]) -> tuple[str, Conversion]:
    """Return the name of the form of ``weights``, and the weights converted to our form.

    Raises:
        CheckpointError: The form, or a tensor in it, is unknown, or aliases differ.
    """
    if names.OWN_MARK in weights or names.BACKBONE + names.OWN_MARK in weights:
        return 'mmcoat', Conversion(weights=dict(weights))
    for form, mark, rename in FORMS:
        if mark in weights:
            new = {key: rename(key) or '' for key in weights}
            _refuse([key for key, name in new.items() if not name])
            if form == BARE and all(name.startswith(names.BACKBONE) for name in new.values()):
                new = {key: name[len(names.BACKBONE) :] for key, name in new.items()}  # no head
            return form, _renamed(weights, new, form)
    raise CheckpointError(
        f'no known form (mmcoat, {", ".join(form for form, *_ in FORMS)}): it holds '
        f'{files.describe(weights)}; the first keys are {list(weights)[:5]}; nothing is converted'
    )


def _renamed(weights: Mapping[str, Tensor], new: Mapping[str, str], form: str) -> Conversion:
    values, first = names.merge(weights, new)
    if form == DEFORMABLE_DETR:
        values = deformable_detr.keep_columns(values)
    unused = _unused_norms(names.find_places(n.removeprefix(names.BACKBONE) for n in values))
    result = Conversion()
    for key, name in new.items():
        inner = name.removeprefix(names.BACKBONE)
        if form == DEFORMABLE_DETR and inner != name and names.CLASSIFIER.match(inner):
            result.dropped.append((key, "the backbone's ImageNet classifier"))
        elif inner.rpartition('.')[0] in unused:
            result.dropped.append((key, UNUSED_NORM))
        elif first[name] != key:
            result.merged.append((key, first[name]))
        else:
            result.take(key, name, values[name])
    return result


def _unused_norms(places: list[dict[str, str]]) -> list[str]:
    """Return the final norms, under our names, that the official code defines and does not use."""
    used = {int(place['s']) for place in places if 'p' in place} or {NUM_STAGES - 1}
    return [f'norms.{stage}' for stage in range(NUM_STAGES) if stage not in used]


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise CheckpointError(
            f'{len(unknown)} tensors are unknown, the first of them {unknown[:5]}; nothing is converted'
        )


# ---------------------------------------------------------------------- from our form


def from_own(weights: Mapping[str, Tensor], target: str) -> Conversion:
    """Convert weights of our form to ``'official'`` or ``'timm'`` names, with the aliases of both.

    A classifier or bare backbone gets names without prefix. For a segmenter or detector, the official form
    keeps all modules, with the backbone under ``backbone.`` as in the official MMDetection 2.x files. timm
    has classifiers only, so its form keeps only the backbone.

    Raises:
        CheckpointError: A tensor is unknown, or the target's code cannot build this backbone.
    """
    prefix = names.BACKBONE if names.BACKBONE + names.OWN_MARK in weights else ''
    body = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
    others = {k: v for k, v in weights.items() if not k.startswith(prefix)}
    if f'stages.{NUM_STAGES - 1}.cls_token' not in body or f'stages.{NUM_STAGES}.cls_token' in body:
        raise CheckpointError(f'{target} has {NUM_STAGES} stages; this is {names.guess_arch(body)}')
    _refuse([prefix + key for key in body if not names.is_own_name(key)])
    is_classifier = all(key.startswith(names.OWN_HEAD) for key in others)
    keep_others = target == 'official' and not is_classifier
    result = _backbone_from_own(body, prefix, prefix if keep_others else '', target)
    for key, value in others.items():
        if is_classifier:
            result.take(key, names.HEAD + key[len(names.OWN_HEAD) :], value)
        elif keep_others:
            result.weights[key] = value
        else:
            result.dropped.append((key, 'timm has no such module'))
    return result


def _backbone_from_own(body: Mapping[str, Tensor], old: str, new: str, target: str) -> Conversion:
    """Rename a backbone; ``old`` and ``new`` are the prefixes of its names in the two forms."""
    places, result = names.find_places(body), Conversion()
    for key, value in body.items():
        first, *aliases = names.official_names(key, places)
        result.take(old + key, new + first, value)
        for alias in aliases:
            result.weights[new + alias] = value
            result.added.append((new + alias, f'alias of {first}'))
    if target == 'official' and any(key.startswith('norms.') for key in body):
        _add_unused_norms(body, places, new, result)
    return result


def _add_unused_norms(
    body: Mapping[str, Tensor], places: list[dict[str, str]], new: str, result: Conversion
) -> None:
    """Give a classifier the norms that the official code expects but does not use, with initial values."""
    for norm in _unused_norms(places):
        channels = body[f'stages.{norm[-1]}.cls_token'].shape[-1]
        for name, make in (('weight', torch.ones), ('bias', torch.zeros)):
            key = new + names.official_names(f'{norm}.{name}', places)[0]
            if key not in result.weights:
                result.weights[key] = make(channels)
                result.added.append((key, f'{UNUSED_NORM}, as initialised'))


# ---------------------------------------------------------------------- files


def convert_file(source: str, target: Path, to: str = 'own', force: bool = False) -> Conversion:
    """Convert a checkpoint file; it is written only if every tensor is accounted for.

    Args:
        source: File, URL or ``mmcoat://NAME``.
        target: ``.pth`` or ``.safetensors`` file to write.
        to: One of :data:`TARGETS`; targets other than ours need a file in our form.
        force: Overwrite ``target``.

    Raises:
        CheckpointError: The file cannot be read, has unknown names, or the target exists.
        ValueError: ``to`` is not one of the targets.
    """
    if to not in TARGETS:
        raise ValueError(f'to must be one of {TARGETS}, got {to!r}')
    checkpoint = files.read_checkpoint(source)
    weights = files.find_state_dict(checkpoint, source)
    files.check_numbers(weights, source)
    form, result = to_own(weights)
    if to != 'own':
        if form != 'mmcoat':
            # The report names the tensors of the file; after a first conversion they would have other names.
            raise CheckpointError(f'{source} has the {form} form; convert it to own first')
        result = from_own(weights, to)
    beside = [key for key in checkpoint if key not in weights and key not in files.HOLDERS]
    result.dropped += [(str(key), 'no weights') for key in beside]
    files.write_checkpoint(_wrap(result.weights, to), target, force)
    return result


def _wrap(weights: dict[str, Tensor], to: str) -> dict[str, Any]:
    if to == 'timm':
        return dict(weights)
    is_model = any(key.startswith(names.BACKBONE) for key in weights)
    return {'state_dict' if to == 'own' or is_model else 'model': dict(weights)}
