"""Deformable DETR: translate the official files' parameter names and classes into MMDetection's.

The official code has other names for its parts, and stores each shared prediction layer under six names. Its
classifier has 91 columns, one for each COCO category id; 11 of these ids are not used. MMDetection has 80
columns, for the categories that exist, in the order of their ids.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .errors import CheckpointError
from .files import unwrap_in_place
from .load import drop_classifier, mismatches, replace_in_place
from .names import BACKBONE, CLASSIFIER, merge, table, translate

# in every official file; MMDetection has no names that begin with 'transformer.'
MARK = 'transformer.level_embed'
UNUSED_COCO_IDS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = tuple(i for i in range(91) if i not in UNUSED_COCO_IDS)

_CLASSIFIER = re.compile(r'bbox_head\.cls_branches\.\d+\.')
# The official code numbers norms in the order of their definition, MMDetection in the order of their use.
# In MMDetection there is a ReLU between the Linear layers of bbox_embed.
TABLE = table(
    """
    backbone.0.backbone.{r}                     backbone.{r}
    input_proj.3.0.{r}                          neck.extra_convs.0.conv.{r}
    input_proj.3.1.{r}                          neck.extra_convs.0.gn.{r}
    input_proj.{l}.0.{r}                        neck.convs.{l}.conv.{r}
    input_proj.{l}.1.{r}                        neck.convs.{l}.gn.{r}
    query_embed.{r}                             query_embedding.{r}
    transformer.level_embed                     level_embed
    transformer.reference_points.{r}            reference_points_fc.{r}
    transformer.decoder.layers.{l}.self_attn.{r} decoder.layers.{l}.self_attn.attn.{r}
    transformer.{c}.layers.{l}.self_attn.{r}    {c}.layers.{l}.self_attn.{r}
    transformer.{c}.layers.{l}.cross_attn.{r}   {c}.layers.{l}.cross_attn.{r}
    transformer.{c}.layers.{l}.linear1.{r}      {c}.layers.{l}.ffn.layers.0.0.{r}
    transformer.{c}.layers.{l}.linear2.{r}      {c}.layers.{l}.ffn.layers.1.{r}
    transformer.encoder.layers.{l}.norm1.{r}    encoder.layers.{l}.norms.0.{r}
    transformer.encoder.layers.{l}.norm2.{r}    encoder.layers.{l}.norms.1.{r}
    transformer.decoder.layers.{l}.norm2.{r}    decoder.layers.{l}.norms.0.{r}
    transformer.decoder.layers.{l}.norm1.{r}    decoder.layers.{l}.norms.1.{r}
    transformer.decoder.layers.{l}.norm3.{r}    decoder.layers.{l}.norms.2.{r}
    class_embed.{l}.{r}                         bbox_head.cls_branches.{l}.{r}
    bbox_embed.{l}.layers.0.{r}                 bbox_head.reg_branches.{l}.0.{r}
    bbox_embed.{l}.layers.1.{r}                 bbox_head.reg_branches.{l}.2.{r}
    bbox_embed.{l}.layers.2.{r}                 bbox_head.reg_branches.{l}.4.{r}
    """
)


def mmdet_name(key: str) -> str | None:
    """Return MMDetection's name for an official name (in the backbone: ours), None for an unknown name."""
    name = translate(key, TABLE)
    if name is None or not name.startswith(BACKBONE):
        return name
    inner = name[len(BACKBONE) :]
    own = translate(inner) or (inner if CLASSIFIER.match(inner) else None)
    return own and BACKBONE + own


def keep_columns(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the classifier's unused columns; ``weights`` have MMDetection's names.

    Raises:
        CheckpointError: The classifier does not have 91 columns.
    """
    kept = dict(weights)
    for key, value in weights.items():
        if _CLASSIFIER.match(key):
            if value.shape[0] != 91:
                raise CheckpointError(
                    f'{key} has {value.shape[0]} columns; the official classifier has 91, one per COCO id'
                )
            kept[key] = value[list(COCO_IDS)]
    return kept


def convert_deformable_detr(state_dict: dict[str, Any], prefix: str, model: nn.Module) -> bool:
    """Translate an official file in place, strictly; leave all others alone.

    Args:
        state_dict: What a loader passes to the detector. A loader that does not know the ``'model'`` entry
            passes the whole file: then the weights are taken out of it, without optimiser and arguments.
        prefix: Prefix of the detector's names in it.
        model: The detector. If its number of classes is not COCO's 80, it keeps its own classifier
            (fine-tuning).

    Returns:
        Whether it was an official file.

    Raises:
        CheckpointError: A name is unknown, missing or unexpected, a shape is wrong, or two names of one
            shared tensor of the backbone hold different values.
    """
    inner = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    unwrap_in_place(inner)
    if MARK not in inner:
        return False
    new = {key: mmdet_name(key) or '' for key in inner}
    for key, name in new.items():
        if not name:
            raise CheckpointError(f'{key!r} is not a name of the official Deformable DETR')
    # the file's backbone may still have its ImageNet classifier
    weights = drop_classifier(keep_columns(merge(inner, new)[0]), model, BACKBONE)
    expected = model.state_dict()
    if expected['bbox_head.cls_branches.0.weight'].shape[0] != len(COCO_IDS):
        weights = {k: v for k, v in weights.items() if not _CLASSIFIER.match(k)}
        expected = {k: v for k, v in expected.items() if not _CLASSIFIER.match(k)}
    problems = mismatches(weights, expected)
    if problems:
        raise CheckpointError(
            'this official Deformable DETR file does not fit the detector. ' + '; '.join(problems)
        )
    replace_in_place(state_dict, prefix, weights)
    return True
