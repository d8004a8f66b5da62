"""Rivals differ from our configs only in the backbone and in the settings that the backbone needs."""

from importlib.util import find_spec

import pytest
import torch
from mmengine.registry import init_default_scope

from mmcoat import runs
from tests.helpers import ROOT, load

pytest.importorskip('mmseg')
BACKBONES = ('resnet50', 'swin_tiny', 'convnext_tiny', 'mit_b2', 'pvtv2_b2')
NEEDS = {'convnext_tiny': 'mmpretrain', 'pvtv2_b2': 'mmdet'}
RIVALS = [f'{head}_{name}_ade20k' for head in ('upernet', 'fpn') for name in BACKBONES]
VARIANTS = [f'upernet_{n}_own_recipe_ade20k' for n in ('resnet50', 'swin_tiny', 'convnext_tiny')]


def load_rival(name):
    for backbone, toolbox in NEEDS.items():
        if backbone in name and find_spec(toolbox) is None:
            pytest.skip(f'{toolbox} is not installed')
    if 'convnext' in name:
        from benchmarks.peers import declare_torchvision_operators

        declare_torchvision_operators()
    return load(f'rivals/{name}.py')


def test_all_rivals_are_there():
    found = {path.stem for path in (ROOT / 'configs' / 'rivals').glob('*.py')}
    assert found == {*RIVALS, *VARIANTS}


@pytest.mark.parametrize('name', RIVALS)
def test_only_the_backbone_differs(name):
    rival, ours = load_rival(name), load(f'{name.split("_")[0]}_coat_lite_s_ade20k.py')
    channels = {id(rival): list(rival.channels), id(ours): list(ours.channels)}
    for cfg in (rival, ours):
        maps = channels[id(cfg)]
        reader = cfg.model.get('neck') or cfg.model.decode_head
        assert reader.pop('in_channels') == maps
        if 'auxiliary_head' in cfg.model:
            assert cfg.model.auxiliary_head.pop('in_channels') == maps[2]
        for key in ('backbone', 'channels', 'still', 'custom_imports'):
            cfg._cfg_dict.pop(key, None)
        del cfg.model.backbone
    keys = rival.optim_wrapper.paramwise_cfg.custom_keys
    still = set(keys) - set(ours.optim_wrapper.paramwise_cfg.custom_keys)
    assert all(keys.pop(key) == dict(decay_mult=0.0) for key in still)
    assert rival._cfg_dict.to_dict() == ours._cfg_dict.to_dict()


@pytest.mark.parametrize('name', VARIANTS)
def test_own_recipes_differ_in_the_recipe_only(name):
    own, equal = load_rival(name), load_rival(name.replace('_own_recipe', ''))
    if 'swin' not in name:
        assert own.optim_wrapper != equal.optim_wrapper
    for cfg in (own, equal):
        cfg.model.backbone.pop('drop_path_rate', None)
        for key in ('optim_wrapper', 'param_scheduler'):
            cfg.pop(key)
        del cfg.model.test_cfg
    assert own._cfg_dict.to_dict() == equal._cfg_dict.to_dict()


@pytest.mark.parametrize('name', [*RIVALS, VARIANTS[-1]])
def test_builds_and_gives_the_maps_it_says(name):
    from mmseg.registry import MODELS

    cfg = load_rival(name)
    runs.fit_to_devices(cfg)
    init_default_scope('mmseg')
    cfg.model.backbone.init_cfg = None
    backbone = MODELS.build(cfg.model.backbone)
    backbone.eval()  # some return nothing
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (c, 16 // 2**i, 16 // 2**i) for i, c in enumerate(cfg.channels)
    ]
    if cfg.optim_wrapper.paramwise_cfg.get('custom_keys'):
        names = [n for n, _ in backbone.named_parameters()]
        for key in set(cfg.get('still')) - {'absolute_pos_embed'}:  # Swin has none by default
            assert any(key in n for n in names)
