"""Put weights into a backbone, strictly: whatever does not fit is an error that says why."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from .errors import CheckpointError
from .files import check_numbers, find_state_dict, read_checkpoint
from .names import (
    OFFICIAL_MARK,
    OWN_MARK,
    drop_classifier,
    guess_arch,
    mismatches,
    own_state_dict,
)

FIRST_CONV = 'stages.0.patch_embed.proj.weight'


def load_backbone(model: nn.Module, source: str | Path, prefix: str | None = None) -> None:
    """Load a CoaT backbone's weights from an official, timm, MMDetection or own file.

    Args:
        model: The backbone; left as it was when the file does not fit.
        source: File or URL.
        prefix: Where the backbone lies in the file, for example ``backbone.``; found when None.

    Raises:
        CheckpointError: The file cannot be read, or anything in it is missing, unexpected or of another
            shape. The message says which arch the file seems to be.
    """
    weights = backbone_weights(find_state_dict(read_checkpoint(source)), prefix, str(source))
    adapt_in_channels(weights, model.in_channels)
    weights = drop_classifier(weights, model)
    problems = mismatches(weights, model.state_dict())
    if problems:
        raise CheckpointError(
            f'{source} does not fit this backbone; the file seems to be {guess_arch(weights)}, '
            f'the backbone is {guess_arch(model.state_dict())}. ' + '; '.join(problems)
        )
    check_numbers(weights, source, only_float=True)
    model.load_state_dict(weights, strict=True)


def backbone_weights(
    state_dict: Mapping[str, Tensor], prefix: str | None, name: str
) -> dict[str, Tensor]:
    """Return the backbone's part of ``state_dict`` under our names."""
    if prefix is None:
        prefix = _find_prefix(state_dict, name)
    elif prefix and not prefix.endswith('.'):
        prefix += '.'
    inner = {}
    if prefix is not None:
        inner = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    if OFFICIAL_MARK not in inner and OWN_MARK not in inner:
        where = f' under {prefix!r}' if prefix else ''
        raise CheckpointError(
            f'{name} holds no CoaT weights{where}; its first keys are {list(state_dict)[:5]}'
        )
    return own_state_dict(inner)


def _find_prefix(state_dict: Mapping[str, Tensor], name: str) -> str | None:
    """Return what stands before the backbone's names, None where there is no CoaT."""
    found = {
        key[: -len(mark)]
        for key in state_dict
        for mark in (OFFICIAL_MARK, OWN_MARK)
        if key == mark or key.endswith('.' + mark)
    }
    if len(found) > 1:
        raise CheckpointError(
            f'{name} holds {len(found)} CoaT backbones; say which one with prefix, one of {sorted(found)}'
        )
    return found.pop() if found else None


def adapt_in_channels(weights: dict[str, Tensor], in_channels: int) -> None:
    """Make RGB filters serve another number of channels, in place.

    One channel gets the sum over RGB, the response to a grey image. Other numbers get the RGB filters in
    turn (R, G, B, R...), scaled by 3 / in_channels so that the response keeps its magnitude.
    """
    weight = weights.get(FIRST_CONV)
    if weight is None or weight.shape[1] != 3 or in_channels == 3:
        return
    if in_channels == 1:
        weights[FIRST_CONV] = weight.sum(1, keepdim=True)
        return
    turns = [channel % 3 for channel in range(in_channels)]
    weights[FIRST_CONV] = weight[:, turns] * (3.0 / in_channels)
