"""Whole models' files as the authors published them: weights under 'model', no 'backbone.' before the names.

MMEngine's loaders unwrap 'state_dict' alone and hand everything else to the model as it is. So models
translate it themselves while they load, and tools, ``load_from`` and inferencers take such files unmodified.
"""

from collections.abc import Mapping
from typing import Any

from .names import OFFICIAL_MARK, own_name

CLASSIFIER_HEAD = 'head.'  # official: a Linear; MMPretrain's LinearClsHead calls it head.fc


def unwrap_in_place(checkpoint: dict[str, Any]) -> None:
    """Replace ``{'model': weights, 'args': ...}`` by the weights alone; leave everything else as it is."""
    weights = checkpoint.get('model')
    if isinstance(weights, Mapping) and 'state_dict' not in checkpoint:
        checkpoint.clear()
        checkpoint.update(weights)


def classifier_in_place(state_dict: dict[str, Any], prefix: str = '') -> None:
    """Give the weights of an official or timm classifier the names of an MMPretrain ``ImageClassifier``.

    Only moves them under ``backbone.`` and ``head.fc.``; the backbone translates its own names when it loads.

    Args:
        state_dict: What is being loaded; changed in place, and left alone when it is not of this form.
        prefix: Where the classifier lies in it.
    """
    if not prefix:
        unwrap_in_place(state_dict)
    if prefix + OFFICIAL_MARK not in state_dict:
        return
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = key[len(prefix) :]
        if name.startswith(CLASSIFIER_HEAD):
            target = f'head.fc.{name[len(CLASSIFIER_HEAD) :]}'
        elif own_name(name) is not None:
            target = f'backbone.{name}'
        else:
            continue  # unknown: a strict load will name it
        state_dict[prefix + target] = state_dict.pop(key)
