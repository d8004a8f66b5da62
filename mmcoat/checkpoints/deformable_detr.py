"""Deformable DETR: the official files' parameter names and classes, and MMDetection's.

The official code names its parts otherwise, keeps the shared prediction layers under six names each,
and its classifier has 91 columns indexed by COCO's category id, of which 11 mean nothing. MMDetection
has the 80 columns of the categories that exist, in the order of their ids.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .errors import CheckpointError
from .names import drop_classifier, mismatches, own_state_dict
from .whole_models import unwrap_in_place

# every official file has it; MMDetection's names do not begin with 'transformer.'
OFFICIAL_MARK = 'transformer.level_embed'
UNUSED_COCO_IDS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = tuple(i for i in range(91) if i not in UNUSED_COCO_IDS)

_CLASSIFIER = re.compile(r'bbox_head\.cls_branches\.\d+\.')
_DECODER_NORMS = {'2': '0', '1': '1', '3': '2'}  # after self-attention, cross-attention, MLP
# (official name, MMDetection's); {l} is the layer, {r} the rest of the name.
_RULES = [
    (r'backbone\.0\.backbone\.(?P<r>.+)', 'backbone.{r}'),
    (r'input_proj\.(?P<l>[012])\.0\.(?P<r>.+)', 'neck.convs.{l}.conv.{r}'),
    (r'input_proj\.(?P<l>[012])\.1\.(?P<r>.+)', 'neck.convs.{l}.gn.{r}'),
    (r'input_proj\.3\.0\.(?P<r>.+)', 'neck.extra_convs.0.conv.{r}'),
    (r'input_proj\.3\.1\.(?P<r>.+)', 'neck.extra_convs.0.gn.{r}'),
    (r'query_embed\.(?P<r>.+)', 'query_embedding.{r}'),
    (r'transformer\.level_embed', 'level_embed'),
    (r'transformer\.reference_points\.(?P<r>.+)', 'reference_points_fc.{r}'),
    (
        r'transformer\.decoder\.layers\.(?P<l>\d+)\.self_attn\.(?P<r>.+)',
        'decoder.layers.{l}.self_attn.attn.{r}',
    ),
    (
        r'transformer\.(?P<c>encoder|decoder)\.layers\.(?P<l>\d+)\.(?P<r>(self|cross)_attn\..+)',
        '{c}.layers.{l}.{r}',
    ),
    (
        r'transformer\.(?P<c>encoder|decoder)\.layers\.(?P<l>\d+)\.linear1\.(?P<r>.+)',
        '{c}.layers.{l}.ffn.layers.0.0.{r}',
    ),
    (
        r'transformer\.(?P<c>encoder|decoder)\.layers\.(?P<l>\d+)\.linear2\.(?P<r>.+)',
        '{c}.layers.{l}.ffn.layers.1.{r}',
    ),
    (
        r'transformer\.(?P<c>encoder|decoder)\.layers\.(?P<l>\d+)\.norm(?P<n>\d)\.(?P<r>.+)',
        '{c}.layers.{l}.norms.{n}.{r}',
    ),
    (r'class_embed\.(?P<l>\d+)\.(?P<r>.+)', 'bbox_head.cls_branches.{l}.{r}'),
    # Linear layers 0, 1, 2 with ReLU between them
    (r'bbox_embed\.(?P<l>\d+)\.layers\.(?P<i>\d)\.(?P<r>.+)', 'bbox_head.reg_branches.{l}.{i}.{r}'),
]
_COMPILED = [(re.compile(pattern), target) for pattern, target in _RULES]


def mmdet_name(key: str) -> str | None:
    """Return MMDetection's name of an official one, None where the official code has no such name.

    Names of the backbone lose their prefix only; ``own_state_dict`` translates them.
    """
    for pattern, target in _COMPILED:
        match = pattern.fullmatch(key)
        if match:
            groups = match.groupdict()
            if 'n' in groups:
                decoder = groups['c'] == 'decoder'
                groups['n'] = _DECODER_NORMS[groups['n']] if decoder else str(int(groups['n']) - 1)
            if 'i' in groups:
                groups['i'] = str(2 * int(groups['i']))
            return target.format(**groups)
    return None


def mmdet_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an official Deformable DETR's weights under MMDetection's names, with its 80 classes.

    Raises:
        CheckpointError: A name is unknown, the classifier has not 91 columns, or two names of one shared
            tensor of the backbone hold different values.
    """
    result, backbone = {}, {}
    for key, value in state_dict.items():
        name = mmdet_name(key)
        if name is None:
            raise CheckpointError(f'{key!r} is no name of the official Deformable DETR')
        if name.startswith('backbone.'):
            backbone[name[len('backbone.') :]] = value
        else:
            result[name] = _keep_columns(key, value) if _CLASSIFIER.match(name) else value
    result |= {f'backbone.{k}': v for k, v in own_state_dict(backbone).items()}
    return result


def _keep_columns(key: str, value: Tensor) -> Tensor:
    if value.shape[0] != 91:
        raise CheckpointError(
            f'{key} has {value.shape[0]} columns; the official classifier has 91, one per COCO id'
        )
    return value[list(COCO_IDS)]


def convert_deformable_detr(state_dict: dict[str, Any], prefix: str, model: nn.Module) -> bool:
    """Translate an official file in place, strictly; leave all others alone.

    Args:
        state_dict: What a loader hands to the detector. A loader that knows no ``'model'`` entry hands the
            whole file; it is unwrapped, and optimiser and arguments are left out.
        prefix: Where the detector lies in it.
        model: The detector. One with another number of classes than COCO's 80 keeps its own classifier:
            that is fine-tuning.

    Returns:
        Whether it was an official file.

    Raises:
        CheckpointError: Anything is missing, unexpected, or of another shape.
    """
    inner = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    unwrap_in_place(inner)
    if OFFICIAL_MARK not in inner:
        return False
    weights, expected = mmdet_state_dict(inner), model.state_dict()
    weights = _drop_backbone_classifier(weights, model)
    if expected['bbox_head.cls_branches.0.weight'].shape[0] != len(COCO_IDS):
        weights = {k: v for k, v in weights.items() if not _CLASSIFIER.match(k)}
        expected = {k: v for k, v in expected.items() if not _CLASSIFIER.match(k)}
    problems = mismatches(weights, expected)
    if problems:
        raise CheckpointError(
            'this official Deformable DETR file does not fit the detector. ' + '; '.join(problems)
        )
    for key in list(state_dict):
        if key.startswith(prefix):
            del state_dict[key]
    state_dict.update({prefix + key: value for key, value in weights.items()})
    return True


def _drop_backbone_classifier(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Leave out the ImageNet classifier, should the file's backbone still have it."""
    start = 'backbone.'
    backbone = {k[len(start) :]: v for k, v in weights.items() if k.startswith(start)}
    kept = drop_classifier(backbone, model.backbone)
    return {k: v for k, v in weights.items() if not k.startswith(start) or k[len(start) :] in kept}
