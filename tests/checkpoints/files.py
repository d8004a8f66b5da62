"""Weights in the forms of the official code, timm and MMDetection 2.x, made of golden numbers."""

import torch

from mmcoat.checkpoints import own_state_dict
from tests import golden

ARCHS = list(golden.ARCHS)


def record(arch: str) -> dict:
    return golden.load('coat.json')[golden.ARCHS[arch]]


def backbone(arch: str) -> dict[str, torch.Tensor]:
    """Official names with aliases, without classifier."""
    return golden.state_dict(record(arch)['state_dict'])


def official(arch: str) -> dict[str, torch.Tensor]:
    """The whole of an official classifier."""
    extra = golden.state_dict(record(arch)['classifier']['extra_state_dict'])
    return backbone(arch) | extra


def unused_norms(arch: str) -> list[str]:
    return (
        ['norm1.']
        if record(arch)['classifier']['extra_state_dict'].get('aggregate.bias')
        else [
            'norm1.',
            'norm2.',
            'norm3.',
        ]
    )


def timm(arch: str, aliases: bool = True) -> dict[str, torch.Tensor]:
    """An official classifier less the norms that are not used; with or without aliases."""
    spec, unused = record(arch)['state_dict'], tuple(unused_norms(arch))
    return {
        key: value
        for key, value in official(arch).items()
        if not key.startswith(unused) and (aliases or not spec.get(key, {}).get('alias_of'))
    }


def mmdet2(arch: str) -> dict:
    """A checkpoint of a detector in MMDetection 2.x."""
    weights = {f'backbone.{key}': value for key, value in backbone(arch).items()}
    weights['neck.lateral_convs.0.conv.weight'] = torch.ones(2, 2, 1, 1)
    weights['roi_head.bbox_head.fc_cls.bias'] = torch.zeros(81)
    return {'meta': {'epoch': 12, 'CLASSES': ('person',)}, 'state_dict': weights}


def own(arch: str) -> dict[str, torch.Tensor]:
    return own_state_dict(backbone(arch))
