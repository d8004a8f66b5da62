"""Put weights into models, strictly: whatever does not fit is an error that says what the file holds.

MMEngine's loaders pass official files to a model unchanged, so models translate the names while they load
(the functions ``..._in_place``). So tools, ``load_from`` and inferencers accept official files.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from . import files, names
from .errors import CheckpointError

FIRST_CONV = 'stages.0.patch_embed.proj.weight'
PRETRAINED_KEYS = ('type', 'checkpoint', 'prefix', 'map_location', 'new_stages')
# Parameters that belong to one scale; the group is the number of the scale.
SCALE = re.compile(r'(?:stages|parallel_blocks\.\d+\.branches)\.(\d+)\.')


def load_pretrained(model: nn.Module, entry: Mapping[str, Any]) -> None:
    """Load the checkpoint of an ``init_cfg`` of type Pretrained into a CoaT backbone.

    Args:
        model: The backbone.
        entry: ``type`` and ``checkpoint``; optional are ``prefix`` and ``new_stages`` of
            :func:`load_backbone`.

    Raises:
        CheckpointError: The weights do not fit.
        ValueError: A key is unknown, or ``new_stages`` is not True or False.
    """
    unknown = set(entry) - set(PRETRAINED_KEYS)
    if unknown:
        raise ValueError(f'init_cfg of type Pretrained has no key {sorted(unknown)}')
    new_stages = entry.get('new_stages', False)
    if not isinstance(new_stages, bool):
        raise ValueError(f'new_stages must be True or False, got {new_stages!r}')
    load_backbone(model, entry['checkpoint'], entry.get('prefix'), new_stages)


def load_backbone(
    model: nn.Module, source: str | Path, prefix: str | None = None, new_stages: bool = False
) -> None:
    """Load a CoaT backbone's weights from an official, timm, MMDetection or own file.

    Args:
        model: The backbone; not changed if the file does not fit.
        source: File or URL.
        prefix: Prefix of the backbone's names in the file, for example ``backbone.``; None finds it.
        new_stages: Allow the model to have stages after the file's last one. They keep their initial values,
            and the log names their parameters. Everything else must fit as usual.

    Raises:
        CheckpointError: The file cannot be read, a tensor is missing, unexpected or of another shape, or a
            value is not a finite floating point number. The message says what the file holds.
    """
    state_dict = files.find_state_dict(files.read_checkpoint(source), source)
    inner = _backbone_part(state_dict, prefix, source)
    files.check_numbers(inner, source, only_float=True)
    weights = names.own_state_dict(inner)
    _adapt_in_channels(weights, model.in_channels)
    weights, own = drop_classifier(weights, model), model.state_dict()
    new = _new_scales(weights, own) if new_stages else {}
    problems = mismatches({**weights, **new}, own)
    if problems:
        raise CheckpointError(
            f'{source} does not fit this backbone; the file holds {files.describe(state_dict)}; '
            f'the backbone is {names.guess_arch(own)}. ' + '; '.join(problems)
        )
    if new:
        numbers = sum(value.numel() for value in new.values())
        print_log(
            f'{source} ends before the last scale of this backbone, where {len(new)} parameters '
            f'({numbers:,} values) begin untrained: {", ".join(new)}',
            logger='current',
        )
    model.load_state_dict({**weights, **new}, strict=True)


def _new_scales(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the model's parameters of all scales after the last scale in ``weights``."""
    held = [int(match[1]) for match in map(SCALE.match, weights) if match]
    return {
        key: value
        for key, value in expected.items()
        if held and (match := SCALE.match(key)) and int(match[1]) > max(held)
    }


def _backbone_part(
    state_dict: Mapping[str, Tensor], prefix: str | None, source: str | Path
) -> dict[str, Tensor]:
    found = files.find_prefixes(state_dict)
    if prefix is None and len(found) > 1:
        raise CheckpointError(
            f'{source} holds {len(found)} CoaT backbones; say which one with prefix, one of {found}'
        )
    if prefix is None:
        prefix = found[0] if found else ''
    elif prefix and not prefix.endswith('.'):
        prefix += '.'
    if prefix not in found:
        where = f' under {prefix!r}' if prefix else ''
        raise CheckpointError(
            f'{source} holds no CoaT weights{where}; it holds {files.describe(state_dict)}; '
            f'its first keys are {list(state_dict)[:5]}'
        )
    return {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}


def _adapt_in_channels(weights: dict[str, Tensor], in_channels: int) -> None:
    """Change RGB filters to another number of input channels, in place.

    One channel gets the sum over RGB: its response is that of the RGB filters to a grey image. Other numbers
    of channels get the RGB filters in turn (R, G, B, R...), scaled by 3 / in_channels to keep the response's
    magnitude.
    """
    weight = weights.get(FIRST_CONV)
    if weight is None or weight.dim() != 4 or weight.shape[1] != 3 or in_channels == 3:
        return
    if in_channels == 1:
        weights[FIRST_CONV] = weight.sum(1, keepdim=True)
        return
    turns = [channel % 3 for channel in range(in_channels)]
    weights[FIRST_CONV] = weight[:, turns] * (3.0 / in_channels)


def convert_in_place(state_dict: dict[str, Any], prefix: str, model: nn.Module) -> None:
    """Translate a backbone's official names under ``prefix`` of ``state_dict``; change nothing else.

    Raises:
        CheckpointError: The official weights do not fit. MMEngine's loader would only log that and continue.
    """
    if prefix + names.OFFICIAL_MARK not in state_dict:
        return
    inner = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    weights, expected = drop_classifier(names.own_state_dict(inner), model), model.state_dict()
    problems = mismatches(weights, expected)
    if problems:
        raise CheckpointError(
            f'these official weights seem to be of {names.guess_arch(weights)}, the backbone is '
            f'{names.guess_arch(expected)}. ' + '; '.join(problems)
        )
    replace_in_place(state_dict, prefix, weights)


def classifier_in_place(state_dict: dict[str, Any], prefix: str = '') -> None:
    """Give the weights of an official or timm classifier the names of an MMPretrain ``ImageClassifier``.

    This only adds the prefixes ``backbone.`` and ``head.fc.``; the backbone translates its own names when it
    loads.

    Args:
        state_dict: What is being loaded; changed in place, but only if it has this form.
        prefix: Prefix of the classifier's names in it.
    """
    if not prefix:
        files.unwrap_in_place(state_dict)
    if prefix + names.OFFICIAL_MARK not in state_dict:
        return
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = key[len(prefix) :]
        if name.startswith(names.HEAD):
            state_dict[prefix + names.OWN_HEAD + name[len(names.HEAD) :]] = state_dict.pop(key)
        elif names.translate(name) is not None:  # strict loading reports unknown names
            state_dict[prefix + names.BACKBONE + name] = state_dict.pop(key)


def replace_in_place(state_dict: dict[str, Any], prefix: str, weights: Mapping[str, Any]) -> None:
    """Replace everything under ``prefix`` by ``weights``."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]
    state_dict.update({prefix + key: value for key, value in weights.items()})


def drop_classifier(
    weights: Mapping[str, Tensor], model: nn.Module, prefix: str = ''
) -> dict[str, Tensor]:
    """Leave out only those classifier tensors under ``prefix`` for which ``model`` has no parameter."""
    expected = model.state_dict().keys()
    return {
        key: value
        for key, value in weights.items()
        if key in expected
        or not (key.startswith(prefix) and names.CLASSIFIER.match(key, len(prefix)))
    }


def mismatches(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return in words why ``weights`` do not load into ``expected``."""
    shapes = [
        f'{key} is {tuple(weights[key].shape)} instead of {tuple(value.shape)}'
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    ]
    problems = {
        'missing': [key for key in expected if key not in weights],
        'unexpected': [key for key in weights if key not in expected],
        'of another shape': shapes,
    }
    return [f'{len(keys)} {what}: {_some(keys)}' for what, keys in problems.items() if keys]


def _some(keys: list[str], shown: int = 4) -> str:
    rest = f' and {len(keys) - shown} more' if len(keys) > shown else ''
    return ', '.join(keys[:shown]) + rest
