"""Layer-wise decay: every parameter in exactly one group, with the rate of its layer."""

import logging

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmcoat import CoaT
from mmcoat.engine.optimizers import LayerDecayOptimWrapperConstructor, layer_ids

LR, DECAY = 1e-3, 0.05
PARAMWISE = dict(decay_rate=0.5, norm_decay_mult=0.0)
SMALL = dict(
    embed_dims=[8, 16, 16],
    serial_depths=[2, 0, 1],
    mlp_ratios=[1, 1, 1],
    num_heads=8,
    parallel_depth=2,
    parallel_stages=[1, 2],
)


class Model(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        self.backbone = CoaT(SMALL, out_indices=(0, 1, 2), **kwargs)
        self.head = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 3, 1))


def build(model, **paramwise):
    cfg = dict(
        type='OptimWrapper',
        constructor='mmcoat.LayerDecayOptimWrapperConstructor',
        optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY),
        paramwise_cfg={**PARAMWISE, **paramwise},
    )
    return build_optim_wrapper(model, cfg)


def settings(model, wrapper) -> dict[str, tuple[float, float]]:
    """{name: (learning rate divided by the base rate, weight decay)}; every parameter once."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            name = names[id(parameter)]
            assert name not in found, f'{name} is in two groups'
            found[name] = round(group['lr'] / LR, 9), group['weight_decay']
    return found


def assert_complete(model, found):
    assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}


def test_layers():
    ids, num_layers = layer_ids(CoaT(SMALL, out_indices=(0,), out_type='cls_token'))
    assert num_layers == 6  # 2 + 1 (the stage without blocks) + 1 + 2
    for name, layer in {
        'stages.0.patch_embed.proj.weight': 0,
        'stages.0.cls_token': 0,
        'stages.0.blocks.0.norm1.weight': 0,
        'stages.0.blocks.1.mlp.fc1.weight': 1,
        'stages.1.cpe.proj.weight': 2,
        'stages.2.crpe.convs.2.bias': 3,
        'stages.2.blocks.0.attn.qkv.bias': 3,
        'parallel_blocks.0.mlp.fc1.weight': 4,
        'parallel_blocks.1.branches.2.norm2.bias': 5,
        'norms.1.weight': 6,
        'aggregate.weight': 6,
    }.items():
        assert ids[name] == layer, name
    assert set(ids.values()) == set(range(7))


@pytest.mark.parametrize(
    'arch, layers', [('lite_tiny', 8), ('lite_medium', 27), ('tiny', 14), ('small', 14)]
)
def test_layers_of_the_archs(arch, layers):
    with torch.device('meta'):
        ids, num_layers = layer_ids(CoaT(arch))
    assert num_layers == layers and set(ids.values()) == set(range(layers))


def test_groups():
    model = Model()
    found = settings(model, build(model))
    assert_complete(model, found)
    for name, expected in {
        'backbone.stages.0.patch_embed.proj.weight': (0.5**6, DECAY),
        'backbone.stages.0.cls_token': (0.5**6, 0),
        'backbone.stages.0.patch_embed.norm.weight': (0.5**6, 0),
        'backbone.stages.0.blocks.1.attn.qkv.weight': (0.5**5, DECAY),
        'backbone.stages.0.blocks.1.attn.qkv.bias': (0.5**5, 0),
        'backbone.parallel_blocks.1.mlp.fc1.weight': (0.5, DECAY),
        'head.0.weight': (1, DECAY),
        'head.0.bias': (1, 0),
        'head.1.weight': (1, 0),
    }.items():
        assert found[name] == expected, name


def test_rate_one_is_no_decay():
    model = Model()
    assert {lr for lr, _ in settings(model, build(model, decay_rate=1)).values()} == {1}


def test_frozen_parameters_are_left_out():
    model = Model(frozen_stages=1)
    found = settings(model, build(model))
    assert_complete(model, found)
    assert not any(name.startswith('backbone.stages.0.') for name in found)
    assert found['backbone.stages.1.patch_embed.proj.weight'] == (0.5**4, DECAY)


def test_factors_and_custom_keys():
    model = Model()
    found = settings(
        model,
        build(
            model,
            norm_decay_mult=0.5,
            bias_decay_mult=1.0,
            custom_keys={
                'cls_token': dict(decay_mult=2.0),
                'head': dict(lr_mult=10),
                'head.2': dict(lr_mult=3, decay_mult=0.5),
                'backbone': dict(lr_mult=0.1),
            },
        ),
    )
    assert found['backbone.stages.0.cls_token'] == (0.5**6, 2 * DECAY)
    assert found['backbone.stages.0.patch_embed.norm.bias'] == (round(0.05 * 0.5**5, 9), DECAY / 2)
    assert found['backbone.parallel_blocks.1.mlp.fc1.bias'] == (0.05, DECAY)
    assert found['head.0.weight'] == (10, DECAY)
    assert found['head.1.bias'] == (10, DECAY / 2)
    assert found['head.2.weight'] == (3, DECAY / 2)


def test_one_step_moves_each_layer_by_its_rate():
    model = Model()
    wrapper = build(model, decay_rate=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    for name, (scale, decay) in settings(model, wrapper).items():
        moved = before[name] * (1 - LR * scale * decay) - model.get_parameter(name)
        torch.testing.assert_close(moved, torch.full_like(moved, LR * scale), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    'paramwise, message',
    [
        (dict(decay_rate=0), 'decay_rate'),
        (dict(decay_rate=1.1), 'decay_rate'),
        (dict(decay_rate=None), 'decay_rate'),
        (dict(num_layers=12), 'num_layers'),
        (dict(custom_keys={'head': dict(lr=1)}), 'lr_mult'),
    ],
)
def test_wrong_settings(paramwise, message):
    with pytest.raises(ValueError, match=message):
        build(Model(), **paramwise)


def test_nothing_set():
    for paramwise in (None, {}):
        with pytest.raises(ValueError, match='decay_rate'):
            LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='SGD', lr=1)), paramwise)
    with pytest.raises(ValueError, match='lr'):
        LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='AdamW')), dict(decay_rate=0.5))


def test_without_weight_decay():
    model = Model()
    cfg = dict(optimizer=dict(type='SGD', lr=LR), type='OptimWrapper')
    wrapper = LayerDecayOptimWrapperConstructor(cfg, dict(decay_rate=0.5))(model)
    assert_complete(model, settings(model, wrapper))


def test_no_coat():
    model = nn.Module()
    with pytest.raises(ValueError, match='no backbone'):
        build(model)
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(ValueError, match='its backbone is Linear'):
        build(model)


def test_groups_are_printed_on_request(monkeypatch):
    lines = []
    monkeypatch.setattr(logging.Logger, 'info', lambda self, text, *_: lines.append(text))
    build(Model())
    assert not any('parameter groups' in line for line in lines)
    build(Model(), print_groups=True)
    assert any('parameter groups' in line for line in lines)
    text = '\n'.join(lines)
    model = Model()
    assert all(name in text for name, _ in model.named_parameters())


BACKBONE = dict(type='mmcoat.CoaT', arch='lite_tiny')


def segmentor():
    pytest.importorskip('mmseg')
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    head = dict(
        type='FCNHead',
        in_channels=320,
        channels=8,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    return MODELS.build(dict(type='EncoderDecoder', backbone=BACKBONE, decode_head=head))


def detector():
    pytest.importorskip('mmdet')
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    head = dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32],
        ),
    )
    neck = dict(type='FPN', in_channels=[64, 128, 256, 320], out_channels=8, num_outs=4)
    return MODELS.build(dict(type='RetinaNet', backbone=BACKBONE, neck=neck, bbox_head=head))


def classifier():
    pytest.importorskip('mmpretrain')
    from mmpretrain.registry import MODELS
    from mmpretrain.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    backbone = dict(BACKBONE, out_type='cls_token')
    head = dict(type='LinearClsHead', num_classes=3, in_channels=320)
    return MODELS.build(dict(type='ImageClassifier', backbone=backbone, head=head))


@pytest.mark.parametrize('make', [segmentor, detector, classifier])
def test_models_of_the_toolboxes(make):
    model = make()
    wrapper = build(model)
    found = settings(model, wrapper)
    assert_complete(model, found)
    for name, (scale, _) in found.items():
        after_blocks = not name.startswith('backbone.') or '.norms.' in name
        assert (scale == 1) == after_blocks, name
    assert found['backbone.stages.0.patch_embed.proj.weight'] == (0.5**8, DECAY)
    assert found['backbone.stages.3.blocks.1.mlp.fc2.weight'] == (0.5, DECAY)
