"""Every segmentation data set: its configs are whole, train a step, test, and say what is missing."""

import pytest
from mmengine.registry import init_default_scope

from mmcoat import runs
from mmcoat.datasets.layout import LayoutError, check_dataset
from mmcoat.datasets.layouts import SEGMENTATION
from mmcoat.datasets.synthetic import LAYOUTS, STREET_CLASSES, make_layout
from tests.helpers import ROOT, configs, load, run_tool

datasets = pytest.importorskip('mmseg.datasets')
SETS = {  # end of the configs' names: the drawn layout, GPUs that batch_size is for
    'cityscapes': ('cityscapes', 8),
    'cityscapes_1024': ('cityscapes', 8),
    'voc2012_aug': ('voc', 4),
    'pascal_context_59': ('pascal_context', 4),
    'coco_stuff164k': ('coco_stuff', 4),
    'loveda': ('loveda', 4),
    'potsdam': ('potsdam', 4),
    'drive': ('drive', 4),
}
VARIANTS = {
    f'{head}_coat_{arch}_{name}.py': name
    for name in SETS
    for head, arch in (('upernet', 'lite_s'), ('upernet', 's'), ('segformer', 'lite_s'))
}


def dataset_of(cfg):
    return next(runs.datasets(cfg, ('train',)))


def test_all_variants_are_there():
    assert set(VARIANTS) == set(configs(*(f'*_{name}.py' for name in SETS)))


@pytest.mark.parametrize('name', VARIANTS)
def test_one_config_says_one_thing(name):
    """Classes, crop and rates agree in every place, also as MMEngine alone reads the file."""
    cfg = load(name)
    assert len((ROOT / 'configs' / name).read_text().splitlines()) <= 25
    classes = len(getattr(datasets, dataset_of(cfg).type).METAINFO['classes'])
    heads = [cfg.model.decode_head, *([cfg.model.auxiliary_head] if 'upernet' in name else [])]
    assert [cfg.num_classes, *(head.num_classes for head in heads)] == [classes] * (1 + len(heads))
    crop = next(t.crop_size for t in dataset_of(cfg).pipeline if t.type == 'RandomCrop')
    assert cfg.crop_size == crop == cfg.model.data_preprocessor['size']
    if cfg.model.test_cfg.mode == 'slide':
        assert cfg.model.test_cfg.crop_size == crop
    gpus = SETS[VARIANTS[name]][1]
    assert cfg.train_dataloader.batch_size * gpus == cfg.auto_scale_lr.base_batch_size
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
    interval = cfg.default_hooks.checkpoint.interval
    assert interval == cfg.train_cfg.val_interval and cfg.train_cfg.max_iters % interval == 0
    assert cfg.model.backbone.get('drop_path_rate') == (0.15 if '_coat_s_' in name else 0.1)


@pytest.mark.parametrize('name', VARIANTS)
def test_builds(name):
    from mmseg.registry import MODELS

    cfg = runs.load_config(str(ROOT / 'configs' / name))
    runs.fit_to_devices(cfg)
    init_default_scope('mmseg')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert list(model.backbone.out_channels) == list(model.decode_head.in_channels)
    if model.with_auxiliary_head:
        assert model.auxiliary_head.in_channels == model.backbone.out_channels[2]


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Draw each layout once."""
    made = {}

    def draw(layout):
        if layout not in made:
            root = made[layout] = tmp_path_factory.mktemp('drawn') / layout
            make_layout(root, layout, train=4, val=2, size=(80, 64), seed=1)
        return made[layout]

    return draw


@pytest.mark.parametrize('name', SETS)
def test_trains_and_tests_on_drawn_data(monkeypatch, tmp_path, drawn, name):
    small = tmp_path / 'small.py'
    small.write_text(f"""
_base_ = {str(ROOT / 'configs' / f'segformer_coat_lite_s_{name}.py')!r}
data_root = {str(drawn(SETS[name][0]))!r}
crop_size = (64, 64)
model = dict(
    backbone=dict(arch='lite_tiny', init_cfg=None),
    decode_head=dict(in_channels=[64, 128, 256, 320]),
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1), visualization=None)
""")
    scales = ['val_dataloader.dataset.pipeline.1.scale=(160,64)']
    scales += ['test_dataloader.dataset.pipeline.1.scale=(160,64)']
    parts = ('datasets.0.', 'datasets.1.') if name == 'voc2012_aug' else ('',)
    scales += [f'train_dataloader.dataset.{part}pipeline.2.scale=(160,64)' for part in parts]
    arguments = [small, '--work-dir', tmp_path, '--cfg-options', *scales]
    assert run_tool(monkeypatch, 'train', *arguments) == 0
    metric = 'mDice' if name == 'drive' else 'mIoU'
    assert list(tmp_path.glob(f'best_{metric}*.pth'))
    assert run_tool(monkeypatch, 'test', small, tmp_path / 'iter_1.pth', *arguments[1:]) == 0


@pytest.mark.parametrize('name', SETS)
def test_labels_are_the_classes_they_say(drawn, name):
    """The drawn label maps hold the numbers of the toolbox's own classes."""
    cfg = load(f'segformer_coat_lite_s_{name}.py')
    layout = LAYOUTS[SETS[name][0]]
    config = dataset_of(cfg)
    config.data_root = str(drawn(SETS[name][0]))
    init_default_scope('mmseg')
    config.pipeline = [config.pipeline[1]]  # only the label map
    dataset = datasets.__dict__[config.type](**{k: v for k, v in config.items() if k != 'type'})
    classes, shift = dataset.metainfo['classes'], int(dataset.reduce_zero_label)
    synonyms = {
        'tree': {'tree', 'vegetation', 'forest', 'vessel'},
        'grass': {'grass', 'terrain', 'low_vegetation', 'agricultural'},
        'earth': {'dirt', 'ground', 'terrain', 'barren'},
        'sidewalk': {'sidewalk', 'pavement', 'impervious_surface'},
        'road': {'road', 'impervious_surface'},
        'person': {'person', 'vessel'},
    }
    for drawn_class in layout.values:
        found = classes[layout.values[drawn_class] - shift].removesuffix('-other')
        assert found in synonyms.get(drawn_class, {drawn_class})
    labels = {int(v) for i in range(len(dataset)) for v in set(dataset[i]['gt_seg_map'].ravel())}
    known = {layout.values.get(n, layout.other) - shift for n in STREET_CLASSES}
    assert len(labels) > 1
    assert labels <= {255 if value < 0 else value for value in known | {layout.other - shift}}


@pytest.mark.parametrize('name', SETS)
def test_missing_layout_says_where_to_get_it(tmp_path, drawn, name):
    dataset = dataset_of(load(f'upernet_coat_s_{name}.py'))
    dataset.data_root = str(drawn(SETS[name][0]))
    check_dataset(dataset)
    dataset.data_root = str(tmp_path)
    with pytest.raises(LayoutError, match=f'{dataset.type} expects under {tmp_path}') as error:
        check_dataset(dataset)
    assert '\n' not in str(error.value)
    assert 'http' in str(error.value)
    assert 'dataset_converters/' in str(error.value)


def test_every_listed_image_must_be_there(tmp_path):
    make_layout(tmp_path / 'voc', 'voc', train=4, val=2, size=(80, 64))
    dataset = dataset_of(load('upernet_coat_s_voc2012_aug.py'))
    dataset.data_root = str(tmp_path / 'voc')
    (folder,) = (tmp_path / 'voc' / f for f in [dataset.data_prefix.seg_map_path])
    next(iter(folder.glob('train*.png'))).unlink()
    with pytest.raises(LayoutError, match=r'lists .*png, which does not exist'):
        check_dataset(dataset)


def test_the_tool_draws_any_layout(monkeypatch, tmp_path, capsys):
    make = ['make_synthetic_dataset', 'loveda', tmp_path / 'a', '--train', 2, '--val', 1]
    assert run_tool(monkeypatch, *make, '--size', 80, 64) == 0
    assert len(list((tmp_path / 'a/img_dir/train').glob('*.png'))) == 2
    assert run_tool(monkeypatch, *make, '--size', 80, 64, '--overwrite', '--seed', 3) == 0
    assert run_tool(monkeypatch, *make, '--preview') == 2
    assert '--preview knows' in capsys.readouterr().err


def test_every_set_has_a_layout_and_no_other():
    assert set(SEGMENTATION) == {
        dataset_of(load(f'upernet_coat_s_{name}.py')).type for name in SETS
    }
