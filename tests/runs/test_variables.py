"""One setting, every place: crop_size, num_classes and data_root in files and on the command line."""

import pytest

from mmcoat import runs
from mmcoat.errors import UsageError
from tests.helpers import CONFIGS, ROOT

FAMILIES = {
    'fpn': 'fpn_coat_lite_t_ade20k',
    'upernet': 'upernet_coat_s_ade20k',
    'segformer': 'segformer_coat_lite_s_ade20k',
    'unet': 'unet_coat_s_ade20k',
    'daformer': 'daformer_coat_s_ade20k',
    'mask2former_ade': 'mask2former_coat_s_ade20k',
    'mask_rcnn': 'mask_rcnn_coat_lite_t_1x_coco',
    'cascade': 'cascade_mask_rcnn_coat_s_3x_coco',
    'retinanet': 'retinanet_coat_lite_s_1x_coco',
    'atss': 'atss_dyhead_coat_s_2x_coco',
    'deformable_detr': 'deformable_detr_coat_s_coco',
    'dino': 'dino_4scale_coat_lite_s_12e_coco',
    'mask2former': 'mask2former_coat_lite_s_coco',
}


def path(family: str) -> str:
    return str(ROOT / 'configs' / f'{FAMILIES[family]}.py')


def leaves(node, prefix=''):
    if isinstance(node, dict):
        node = list(node.items())
    elif isinstance(node, list | tuple) and any(isinstance(x, dict | list | tuple) for x in node):
        node = list(enumerate(node))
    else:
        return {prefix: list(node) if isinstance(node, tuple) else node}
    found = {}
    for key, value in node:
        found |= leaves(value, f'{prefix}.{key}')
    return found


def user_file(tmp_path, family, text):
    file = tmp_path / 'mine.py'
    file.write_text(f'_base_ = {path(family)!r}\n{text}\n')
    return str(file)


def loaded(way, tmp_path, family, name, value):
    if way == 'option':
        return runs.load_config(path(family), {name: value})
    return runs.load_config(user_file(tmp_path, family, f'{name} = {value!r}'))


def test_every_family_is_here():
    stems = [p.stem for p in CONFIGS if not p.match('coat_*_in1k.py')]
    heads = {stem.split('_coat_')[0] for stem in stems}
    assert heads == {stem.split('_coat_')[0] for stem in FAMILIES.values()}


@pytest.mark.parametrize('way', ['option', 'file'])
@pytest.mark.parametrize('family', FAMILIES)
def test_num_classes(way, tmp_path, family):
    before = leaves(runs.load_config(path(family)).model)
    cfg = loaded(way, tmp_path, family, 'num_classes', 4)
    after = leaves(cfg.model)
    old = 150 if 'ade20k' in FAMILIES[family] else 80
    places = [key for key, value in before.items() if value == old and 'class' in key]
    assert places and all(after[key] == 4 for key in places)
    assert cfg.num_classes == 4
    weights = [key for key in before if key.endswith('class_weight')]
    assert all(after[key] == [1.0] * 4 + [0.1] for key in weights)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {*places, *weights}


@pytest.mark.parametrize('way', ['option', 'file'])
@pytest.mark.parametrize('family', FAMILIES)
def test_data_root(way, tmp_path, family):
    before = leaves(runs.load_config(path(family)).to_dict())
    cfg = loaded(way, tmp_path, family, 'data_root', 'else/where')
    after = leaves(cfg.to_dict())
    paths = {k for k, v in before.items() if isinstance(v, str) and v.startswith('data/')}
    assert len(paths) >= 4
    assert all(after[key].startswith('else/where') for key in paths)
    assert {key for key in before if before[key] != after[key]} == paths


@pytest.mark.parametrize('way', ['option', 'file'])
@pytest.mark.parametrize('family', FAMILIES)
def test_crop_size(way, tmp_path, family):
    old = {'mask2former': [1024, 1024]}.get(family, [512, 512])
    if 'ade20k' not in FAMILIES[family] and family != 'mask2former':
        with pytest.raises(UsageError, match=r'crop_size: nothing in .* reads it'):
            loaded(way, tmp_path, family, 'crop_size', (640, 448))
        return
    before = leaves(runs.load_config(path(family)).to_dict())
    after = leaves(loaded(way, tmp_path, family, 'crop_size', (640, 448)).to_dict())
    places = {key for key, value in before.items() if value == old}
    assert any(key.startswith('.model.data_preprocessor') for key in places)
    assert any(key.startswith('.train_dataloader') for key in places)
    assert all(after[key] == [640, 448] for key in places)
    assert {key for key in before if before[key] != after[key]} == places


def test_sliding_windows_follow(tmp_path):
    file = user_file(
        tmp_path,
        'fpn',
        "model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 256)))",
    )
    cfg = runs.load_config(file, {'crop_size': (640, 256)})
    assert cfg.model.test_cfg.crop_size == (640, 256)
    assert cfg.model.test_cfg.stride == (426, 128)


def test_a_place_that_the_file_sets_keeps_its_value(tmp_path):
    text = 'crop_size = (640, 640)\nmodel = dict(data_preprocessor=dict(size=(96, 96)))'
    cfg = runs.load_config(user_file(tmp_path, 'fpn', text))
    assert cfg.model.data_preprocessor.size == (96, 96)
    assert cfg.train_dataloader.dataset.pipeline[3].crop_size == (640, 640)


def test_one_place_has_the_last_word():
    options = {'data_root': 'A', 'val_dataloader.dataset.data_root': 'B'}
    cfg = runs.load_config(path('mask_rcnn'), options)
    roots = [cfg[f'{n}_dataloader'].dataset.data_root for n in ('train', 'val', 'test')]
    assert roots == ['A', 'B', 'A']
    assert cfg.val_evaluator.ann_file == 'B/annotations/instances_val2017.json'
    assert cfg.test_evaluator.ann_file == 'A/annotations/instances_val2017.json'


def test_a_root_is_compared_by_its_parts(tmp_path):
    file = user_file(tmp_path, 'retinanet', "val_evaluator = dict(ann_file='data/coco2017/x.json')")
    cfg = runs.load_config(file, {'data_root': 'NEW'})
    assert cfg.val_evaluator.ann_file == 'data/coco2017/x.json'


@pytest.mark.parametrize(
    'name, value',
    [('num_classes', 0), ('num_classes', 'x'), ('crop_size', (1, 2, 3)), ('crop_size', -1)],
)
def test_wrong_values(name, value):
    with pytest.raises(UsageError, match=name):
        runs.load_config(path('fpn'), {name: value})


@pytest.mark.parametrize(
    'option, near',
    [
        ('modle.backbone.arch', 'model'),
        ('optim_wraper.optimizer.lr', 'optim_wrapper'),
        ('randomnes.seed', 'randomness'),
        ('load_form', 'load_from'),
        ('model.backbone.drop_path', 'model.backbone.drop_path_rate'),
        ('optim_wrapper.optimizer.weight_deca', 'optim_wrapper.optimizer.weight_decay'),
        ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
        (
            'train_dataloader.dataset.pipeline.3.cropsize',
            'train_dataloader.dataset.pipeline.3.crop_size',
        ),
    ],
)
def test_typing_errors(option, near):
    pytest.importorskip('mmseg')
    with pytest.raises(UsageError, match=f'did you mean {near}[?]'):
        runs.load_config(path('fpn'), {option: 1})
    runs.load_config(path('fpn'), {option: 1}, allow_new_keys=True)


@pytest.mark.parametrize(
    'option',
    [
        'model.backbone.with_cp',
        'model.backbone.init_cfg.prefix',
        'model.decode_head.ignore_index',
        'randomness.seed',
        'work_dir',
        'train_dataloader.pin_memory',
        'train_dataloader.dataset.img_suffix',
        'optim_wrapper.accumulative_counts',
        'optim_wrapper.optimizer.eps',
        'optim_wrapper.paramwise_cfg.custom_keys.neck.lr_mult',
        'default_hooks.checkpoint.save_last',
        'model.test_cfg.stride',
    ],
)
def test_arguments_that_the_config_does_not_state(option):
    pytest.importorskip('mmseg')
    runs.load_config(path('fpn'), {option: 1})
