"""Every form of file goes into a backbone, and what does not fit is an error that says why."""

import re

import pytest
import torch

from mmcoat import ARCH_ZOO, CoaT, runs
from mmcoat.checkpoints import (
    CheckpointError,
    describe,
    guess_arch,
    load_backbone,
    own_state_dict,
)
from mmcoat.checkpoints.names import translate
from tests.checkpoints import files

ARCH = 'tiny'  # the smallest with parallel blocks
FIRST = 'stages.0.patch_embed.proj.weight'


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'weights.pth'


def load(path, content, arch=ARCH, **kwargs) -> CoaT:
    torch.save(content, path)
    model = CoaT(arch, **kwargs)
    load_backbone(model, path)
    return model


def assert_holds(model, weights):
    found = model.state_dict()
    assert set(found) <= set(weights)
    assert all(torch.equal(value, weights[key]) for key, value in found.items())


FORMS = {
    'official': lambda a: {'model': files.official(a), 'epoch': 300},
    'timm': files.timm,
    'timm without aliases': lambda a: files.timm(a, aliases=False),
    'bare official': files.backbone,
    'own': files.own,
    'MMDetection 2.x': files.mmdet2,
    'own model': lambda a: {
        'state_dict': {
            **{f'backbone.{k}': v for k, v in files.own(a).items()},
            'decode_head.conv_seg.bias': torch.zeros(3),
        }
    },
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
def test_forms(path, arch, form):
    assert_holds(load(path, FORMS[form](arch), arch), files.own(arch))


@pytest.mark.parametrize('form', ['official', 'timm', 'timm without aliases'])
@pytest.mark.parametrize('arch', ['lite_tiny', 'tiny'])
def test_class_embedding(path, arch, form):
    model = load(path, FORMS[form](arch), arch, out_type='cls_token')
    assert_holds(model, own_state_dict(files.official(arch)))


def test_init_cfg(path):
    torch.save({'model': files.official(ARCH)}, path)
    model = CoaT(ARCH, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert_holds(model, files.own(ARCH))


@pytest.mark.parametrize('channels', [1, 4, 6])
def test_in_channels(path, channels):
    model = load(path, files.official(ARCH), in_channels=channels)
    rgb, found = files.own(ARCH)[FIRST], model.state_dict()[FIRST]
    if channels == 1:  # a grey image is answered as in RGB
        torch.testing.assert_close(found, rgb.sum(1, keepdim=True))
    else:
        for channel in range(channels):
            torch.testing.assert_close(found[:, channel], rgb[:, channel % 3] * 3 / channels)


def test_file_with_other_channels_is_no_rgb(path):
    weights = files.own(ARCH)
    weights[FIRST] = weights[FIRST].repeat(1, 2, 1, 1)
    with pytest.raises(CheckpointError, match='another shape'):
        load(path, weights)
    load(path, weights, in_channels=6)


def test_another_arch_is_named_and_nothing_is_loaded(path):
    torch.save(files.official('lite_tiny'), path)
    model = CoaT(ARCH)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"'lite_tiny'.*'tiny'"):
        load_backbone(model, path)
    assert_holds(model, before)


@pytest.mark.parametrize('arch', files.ARCHS)
def test_guess_arch(arch):
    names = {
        key: torch.empty(entry['shape']) for key, entry in files.record(arch)['state_dict'].items()
    }
    names = {translate(key): value for key, value in names.items()}
    assert guess_arch(names) == f'arch {arch!r}'
    del names['stages.3.cls_token']
    assert 'custom' in guess_arch(names)
    assert guess_arch({}) == 'no CoaT at all'


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda w: w.pop('serial_blocks2.1.norm1.bias'), '1 missing: stages.1.blocks.1.norm1.bias'),
        (lambda w: w.update(extra=torch.ones(1)), '1 unexpected: extra'),
        (lambda w: w.update({'norms': torch.ones(1)}), '1 unexpected: norms'),
        (lambda w: w.update({'cls_token2': torch.ones(1, 1, 8)}), 'of another shape'),
        (
            lambda w: w.update({'serial_blocks1.1.cpe.proj.bias': torch.zeros(152)}),
            'one shared tensor',
        ),
        (
            lambda w: w.update({'cpe1.proj.bias': w['cpe1.proj.bias'].half()}),
            'one shared tensor',
        ),
    ],
)
def test_does_not_fit(path, change, message):
    weights = files.official(ARCH)
    change(weights)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load(path, weights)


def test_no_coat(path):
    with pytest.raises(CheckpointError, match=r"no CoaT weights.*'conv1.weight'"):
        load(path, {'conv1.weight': torch.ones(1)})


def test_two_backbones(path):
    own = {'cls_token1': torch.ones(1)}
    both = {f'{who}.backbone.{k}': v for who in ('teacher', 'student') for k, v in own.items()}
    with pytest.raises(CheckpointError, match=r"prefix, one of \['student.backbone.', 'teacher"):
        load(path, both)


@pytest.mark.parametrize('prefix', ['student.backbone', 'student.backbone.'])
def test_prefix(path, prefix):
    weights = {f'student.backbone.{k}': v for k, v in files.own(ARCH).items()}
    weights |= {f'teacher.backbone.{k}': v * 2 for k, v in files.own(ARCH).items()}
    torch.save(weights, path)
    model = CoaT(ARCH, init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix=prefix))
    model.init_weights()
    assert_holds(model, files.own(ARCH))
    with pytest.raises(CheckpointError, match=r"under 'other.'"):
        load_backbone(model, path, prefix='other')


class Model(torch.nn.Module):
    """A model around a backbone, as the toolboxes build them."""

    def __init__(self):
        super().__init__()
        self.backbone = CoaT(ARCH)
        self.neck = torch.nn.Linear(2, 2)


def test_whole_models_take_official_names():
    """``load_state_dict`` of a model around the backbone, PyTorch's and MMEngine's."""
    from mmengine.runner.checkpoint import load_state_dict

    weights = {f'backbone.{k}': v for k, v in files.backbone(ARCH).items()}
    weights |= {f'neck.{k}': torch.full_like(v, 3.0) for k, v in Model().neck.state_dict().items()}
    for call in (
        lambda model: model.load_state_dict(weights, strict=True),
        lambda model: load_state_dict(model, weights, strict=True),
    ):
        model, names = Model(), list(weights)
        call(model)
        assert_holds(model.backbone, files.own(ARCH))
        assert model.neck.bias[0] == 3
        assert list(weights) == names  # the caller's dict stays


def test_every_arch_has_a_record():
    assert set(files.ARCHS) == set(ARCH_ZOO)


def test_backbone_of_detectron2(tmp_path):
    """FPN holds the backbone as ``bottom_up``, and the authors' wrapper holds CoaT as ``backbone``."""
    weights = {
        f'backbone.bottom_up.backbone.{k}': v for k, v in files.backbone('lite_tiny').items()
    }
    weights['backbone.fpn_lateral2.weight'] = torch.ones(2, 2, 1, 1)
    torch.save(weights, tmp_path / 'a.pth')
    model = CoaT('lite_tiny')
    load_backbone(model, tmp_path / 'a.pth')
    assert_holds(model, files.own('lite_tiny'))


def whole(arch: str, *modules: str) -> dict:
    """A model of this package around a backbone."""
    weights = {f'backbone.{k}': v for k, v in files.own(arch).items()}
    return weights | {f'{name}.conv.weight': torch.ones(2) for name in modules}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({}, 'no weights in .*, it is empty'),
        ({'state_dict': {}, 'meta': {}}, 'no weights in .*, it is empty'),
        (
            {'ema_state_dict': {'backbone.stages.0.cls_token': torch.ones(1)}, 'meta': {}},
            r"only \['ema_state_dict', 'meta'\]; ema_state_dict are averages",
        ),
        ({'model_ema': {'cls_token1': torch.ones(1)}}, 'model_ema are averages'),
        ({'state_dict': {}, 'ema_state_dict': {}}, 'it is empty; ema_state_dict are averages'),
        ({'optimizer': {}, 'epoch': 3}, r"only \['epoch', 'optimizer'\]"),
        ({'conv1.weight': torch.ones(1), 'fc.bias': torch.ones(1)}, 'it holds no CoaT, conv1, fc;'),
        (
            {'state_dict': whole('lite_tiny', 'decode_head')},
            r"holds a CoaT of arch 'lite_tiny' as 'backbone\.', decode_head; the backbone is arch 'tiny'",
        ),
        (
            {'backbone.bottom_up.' + k: v for k, v in files.backbone('lite_tiny').items()},
            r"a CoaT of arch 'lite_tiny' as 'backbone\.bottom_up\.'; the backbone is arch 'tiny'",
        ),
    ],
)
def test_what_was_found_is_named(path, content, message):
    with pytest.raises(CheckpointError, match=message) as error:
        load(path, content)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_describe():
    assert describe(files.official('tiny')) == "a CoaT of arch 'tiny', head"
    both = {f'teacher.{k}': v for k, v in whole('tiny').items()} | whole('lite_tiny', 'neck')
    expected = (
        "a CoaT of arch 'lite_tiny' as 'backbone.', a CoaT of arch 'tiny' as 'teacher.backbone.'"
    )
    assert describe(both) == f'{expected}, neck'
    many = {f'module{i}.bias': torch.ones(1) for i in range(9)}
    assert describe(many).endswith('module5, and 3 more')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({}, 'no weights in .*, it is empty'),
        ({'ema_state_dict': whole(ARCH)}, 'ema_state_dict are averages'),
        (
            {'state_dict': whole('lite_tiny', 'neck')},
            r"does not fit the model .* holds a CoaT of arch 'lite_tiny' as 'backbone\.', neck; "
            r"the model has a CoaT of arch 'tiny' as 'backbone\.', neck:",
        ),
        (
            {'state_dict': whole(ARCH, 'decode_head')},
            r"holds a CoaT of arch 'tiny' as 'backbone\.', decode_head; the model has .*, neck:",
        ),
        ({'model': files.official(ARCH)}, r"holds a CoaT of arch 'tiny', head; the model has"),
        ({'state_dict': {'neck.weight': torch.full((2, 2), torch.nan)}}, "'neck.weight' .* NaN"),
        ({'state_dict': {'neck.weight': torch.ones(2, 2, dtype=torch.int8)}}, 'int8'),
    ],
)
def test_whole_models_name_what_was_found(path, content, message):
    model = Model()
    if 'neck.weight' in content.get('state_dict', ()):
        content = {'state_dict': {**model.state_dict(), **content['state_dict']}}
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message) as error:
        runs.load_model(model, str(path))
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_whole_models_load(path):
    model = Model()
    torch.save({'state_dict': {**model.state_dict(), 'neck.bias': torch.full((2,), 5.0)}}, path)
    runs.load_model(model, str(path))
    assert model.neck.bias.tolist() == [5, 5]
