"""Layouts of all kinds become a data set and a config that trains as it is."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmcoat import runs
from mmcoat.checkpoints import read_checkpoint
from mmcoat.datasets.synthetic import make_coco
from tests.helpers import run_tool

CLASSES = 'background,road,field,forest'
COLORS = [(0, 0, 0), (128, 64, 128), (152, 251, 152), (0, 100, 0)]
HEX = ','.join(bytes(color).hex() for color in COLORS)


def stripes(index: int, values=(0, 1, 2, 3)) -> np.ndarray:
    labels = np.repeat(np.array(values, np.uint8), 64 // len(values))[:, None].repeat(64, axis=1)
    return np.rot90(labels, index)


def save_mask(path, labels, form):
    if form == 'palette':
        image = Image.fromarray(labels, 'P')
        image.putpalette([part for color in COLORS for part in color])
    elif form == 'colors':
        image = Image.fromarray(np.array(COLORS, np.uint8)[labels])
    elif form == 'grey_rgb':
        image = Image.fromarray(labels[..., None].repeat(3, 2))
    else:
        image = Image.fromarray(labels)
    image.save(path)


@pytest.fixture
def source(tmp_path):
    """Return what draws five images and their masks in two folders."""

    def draw(form='index', suffix='.png', values=(0, 1, 2, 3), mask_name='{}.png', channels=3):
        (tmp_path / 'images' / 'sub').mkdir(parents=True)
        (tmp_path / 'masks' / 'sub').mkdir(parents=True)
        for index, name in enumerate(['a', 'b', 'c', 'd', 'sub/e']):
            labels = stripes(index, values)
            noise = np.random.default_rng(index).integers(0, 99, (64, 64, channels), np.uint8)
            path = tmp_path / 'images' / f'{name}{suffix}'
            if suffix == '.npy':
                np.save(path, noise)
            else:
                cv2.imwrite(str(path), noise)
            save_mask(tmp_path / 'masks' / mask_name.format(name), labels, form)
        return tmp_path

    return draw


def pairs(root, *more, classes=CLASSES):
    out = ['--out', root / 'data', '--config', root / 'mine.py']
    return [
        'pairs',
        '--images',
        root / 'images',
        '--masks',
        root / 'masks',
        '--classes',
        classes,
        *out,
        *more,
    ]


def prepare(monkeypatch, *arguments):
    return run_tool(monkeypatch, 'prepare_dataset', *arguments)


def fails(monkeypatch, capsys, arguments) -> str:
    assert prepare(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and 'Traceback' not in error
    return error


def written(root, name):
    (path,) = (root / 'data' / 'annotations').rglob(f'{name}.png')
    return np.asarray(Image.open(path))


@pytest.mark.parametrize('form', ['index', 'palette', 'colors', 'grey_rgb'])
def test_forms_of_masks(monkeypatch, source, form):
    root = source(form)
    more = ['--colors', HEX] if form == 'colors' else []
    assert prepare(monkeypatch, *pairs(root, *more)) == 0
    for index, name in enumerate(['a', 'b', 'c', 'd', 'sub/e']):
        np.testing.assert_array_equal(written(root, name), stripes(index))
    cfg = runs.load_config(str(root / 'mine.py'))
    dataset = cfg.train_dataloader.dataset
    assert dataset.metainfo.classes == tuple(CLASSES.split(','))
    if form in ('palette', 'colors'):
        assert dataset.metainfo.palette == [tuple(color) for color in COLORS]
    assert dataset.img_suffix == '.png' and dataset.reduce_zero_label is False
    assert cfg.model.decode_head.num_classes == 4
    images = list((root / 'data' / 'images' / 'training').rglob('*.png'))
    assert len(images) == 4
    pixels = np.stack([cv2.imread(str(p))[..., ::-1] for p in images]).reshape(-1, 3)
    np.testing.assert_allclose(cfg.model.data_preprocessor.mean, pixels.mean(0), rtol=1e-3)
    np.testing.assert_allclose(cfg.model.data_preprocessor.std, pixels.std(0), rtol=1e-3)


def test_masks_of_0_and_255(monkeypatch, source):
    root = source(values=(0, 255))
    assert prepare(monkeypatch, *pairs(root, classes='background,river')) == 0
    assert np.unique(written(root, 'a')).tolist() == [0, 1]


def test_unlabelled_and_ignored_values(monkeypatch, capsys, source):
    root = source(values=(0, 1, 2, 7))
    more = ['--zero-unlabelled', '--ignore', '7', '--balance']
    assert prepare(monkeypatch, *pairs(root, *more, classes='road,field')) == 0
    assert np.unique(written(root, 'a')).tolist() == [0, 1, 255]
    assert '50.0% of the training pixels have no class' in capsys.readouterr().out
    weights = runs.load_config(str(root / 'mine.py')).model.decode_head.loss_decode.class_weight
    assert weights == [1.0, 1.0]


@pytest.mark.parametrize('model, channels', [('fpn_coat_lite_s', 3), ('segformer_coat_lite_s', 8)])
def test_the_config_trains_as_it_is(monkeypatch, source, model, channels):
    pytest.importorskip('mmseg')
    root = source(suffix='.npy' if channels == 8 else '.jpg', channels=channels)
    assert prepare(monkeypatch, *pairs(root, '--model', model)) == 0
    options = [
        'model.backbone.init_cfg=None',
        'train_cfg.max_iters=1',
        'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
    ]
    arguments = [root / 'mine.py', '--work-dir', root / 'run', '--cfg-options', *options]
    assert run_tool(monkeypatch, 'train', *arguments) == 0
    state = read_checkpoint(root / 'run' / 'iter_1.pth')['state_dict']
    assert state['decode_head.conv_seg.weight'].shape[0] == 4
    assert state['backbone.stages.0.patch_embed.proj.weight'].shape[1] == channels


def test_the_same_seed_splits_alike(monkeypatch, source):
    root = source()
    splits = []
    for seed in (0, 0, 1, 2, 3):
        assert (
            prepare(monkeypatch, *pairs(root, '--seed', seed, '--overwrite', '--val', '0.4')) == 0
        )
        folder = root / 'data' / 'images' / 'validation'
        splits.append(sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*.png')))
    assert splits[0] == splits[1] and {len(s) for s in splits} == {2}
    assert len({tuple(s) for s in splits}) > 1


def test_suffixes_in_names_and_mixed_formats(monkeypatch, source):
    root = source(mask_name='{}_mask.png')
    (root / 'images' / 'a.png').unlink()
    cv2.imwrite(str(root / 'images' / 'a.jpg'), np.full((64, 64, 3), 7, np.uint8))
    assert prepare(monkeypatch, *pairs(root, '--mask-suffix', '_mask.png')) == 0
    assert len(list((root / 'data' / 'images').rglob('*.png'))) == 5


def test_links(monkeypatch, source):
    root = source()
    assert prepare(monkeypatch, *pairs(root, '--link')) == 0
    images = list((root / 'data' / 'images').rglob('*.png'))
    assert len(images) == 5 and all(p.is_symlink() and p.is_file() for p in images)


def test_nothing_foreign_is_overwritten(monkeypatch, capsys, source):
    root = source()
    (root / 'data').mkdir()
    (root / 'data' / 'letter.txt').write_text('mine')
    assert 'holds files that this tool did not write' in fails(monkeypatch, capsys, pairs(root))
    (root / 'data' / 'letter.txt').unlink()
    (root / 'mine.py').write_text('# mine\n')
    error = fails(monkeypatch, capsys, pairs(root, '--overwrite'))
    assert 'was not written by this tool' in error
    assert (root / 'mine.py').read_text() == '# mine\n'
    (root / 'mine.py').unlink()
    assert prepare(monkeypatch, *pairs(root)) == 0
    assert '--overwrite replaces it' in fails(monkeypatch, capsys, pairs(root))
    (root / 'mine.py').unlink()
    assert 'holds a prepared data set' in fails(monkeypatch, capsys, pairs(root))
    (root / 'data' / 'letter.txt').write_text('mine')
    (root / 'images' / 'a.png').unlink()
    assert prepare(monkeypatch, *pairs(root, '--overwrite')) == 0
    assert (root / 'data' / 'letter.txt').read_text() == 'mine'
    assert len(list((root / 'data' / 'images').rglob('*.png'))) == 4


def no_mask(root):
    (root / 'masks' / 'c.png').unlink()
    return 'c.png'


def broken_image(root):
    (root / 'images' / 'b.png').write_bytes(b'\x89PNG nothing')
    return f'{root}/images/b.png cannot be read as an image'


def broken_mask(root):
    (root / 'masks' / 'b.png').write_bytes(b'nothing')
    return f'{root}/masks/b.png cannot be read as a mask'


def unknown_value(root):
    save_mask(root / 'masks' / 'd.png', stripes(0, (0, 9)), 'index')
    return 'd.png holds the value 9 in 2048 pixels, but the 4 classes have the values 0 to 3'


def colored(root):
    save_mask(root / 'masks' / 'd.png', stripes(0), 'colors')
    return 'd.png is a coloured picture: say with --colors'


def other_size(root):
    save_mask(root / 'masks' / 'a.png', stripes(0)[:32], 'index')
    return 'a.png has 64 x 64 pixels, its mask 64 x 32'


def same_name(root):
    cv2.imwrite(str(root / 'images' / 'a.jpg'), np.zeros((64, 64, 3), np.uint8))
    return 'have the same name without suffix'


FAULTS = [no_mask, broken_image, broken_mask, unknown_value, colored, other_size, same_name]


@pytest.mark.parametrize('fault', FAULTS)
def test_broken_sources_leave_nothing_behind(monkeypatch, capsys, source, fault):
    root = source()
    message = fault(root)
    assert message in fails(monkeypatch, capsys, pairs(root))
    assert not (root / 'mine.py').exists()
    assert not list((root / 'data').rglob('*'))


@pytest.mark.parametrize(
    'more, message',
    [
        (['--classes', 'a,a'], 'classes must be different names'),
        (['--val', '1.5'], '--val must lie between 0 and 1'),
        (['--model', 'fpn_coat_huge'], "no model 'fpn_coat_huge' for this task; choose one of"),
        (['--model', 'mask_rcnn_coat_lite_s'], 'for this task'),
        (['--colors', '000000'], '1 colors for 4 classes'),
        (['--images', 'nowhere'], 'folder nowhere does not exist'),
    ],
)
def test_wrong_arguments(monkeypatch, capsys, source, more, message):
    assert message in fails(monkeypatch, capsys, pairs(source(), *more))


def test_an_unknown_color_is_named(monkeypatch, capsys, source):
    root = source('colors')
    error = fails(monkeypatch, capsys, pairs(root, '--colors', HEX.replace('006400', '006401')))
    assert (
        'holds the color 006400 in 1024 pixels, which is in neither --colors nor --ignore' in error
    )


def test_voc(monkeypatch, tmp_path):
    root = tmp_path / 'VOC2012'
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    for index, name in enumerate('abc'):
        cv2.imwrite(str(root / f'JPEGImages/{name}.jpg'), np.full((64, 64, 3), index * 9, np.uint8))
        save_mask(root / f'SegmentationClass/{name}.png', stripes(index, (0, 1, 20, 255)), 'index')
    (root / 'ImageSets/Segmentation/train.txt').write_text('a\nb\n')
    (root / 'ImageSets/Segmentation/val.txt').write_text('c\n')
    out = [
        '--out',
        tmp_path / 'data',
        '--config',
        tmp_path / 'mine.py',
        '--model',
        'upernet_coat_s',
    ]
    assert prepare(monkeypatch, 'voc', '--root', root, *out) == 0
    assert (tmp_path / 'data' / 'images' / 'validation' / 'c.jpg').is_file()
    assert np.unique(written(tmp_path, 'a')).tolist() == [0, 1, 20, 255]
    cfg = runs.load_config(str(tmp_path / 'mine.py'))
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == 21
    assert cfg.train_dataloader.dataset.type == 'BaseSegDataset'


def shape(label, points, kind='polygon'):
    return dict(label=label, points=points, shape_type=kind)


def labelme_folder(root, shapes):
    (root / 'labelled').mkdir()
    for name in 'ab':
        cv2.imwrite(str(root / 'labelled' / f'{name}.jpg'), np.full((40, 60, 3), 99, np.uint8))
        content = dict(imagePath=f'{name}.jpg', imageHeight=40, imageWidth=60, shapes=shapes)
        (root / 'labelled' / f'{name}.json').write_text(json.dumps(content))
    out = ['--out', root / 'data', '--config', root / 'mine.py']
    return ['labelme', '--folder', root / 'labelled', *out]


def test_labelme(monkeypatch, tmp_path):
    shapes = [
        shape('road', [[0, 0], [30, 20]], 'rectangle'),
        shape('tree', [[40, 10], [50, 10], [50, 20], [40, 20]]),
        shape('__ignore__', [[0, 30], [10, 40]], 'rectangle'),
        shape('note', [[1, 1]], 'point') | dict(label='road'),
    ]
    assert prepare(monkeypatch, *labelme_folder(tmp_path, shapes)) == 0
    labels = written(tmp_path, 'a')
    expected = np.zeros((40, 60), np.uint8)
    expected[:20, :30] = 1
    expected[30:, :10] = 255
    expected[10:20, 40:50] = 2
    np.testing.assert_array_equal(labels, expected)
    cfg = runs.load_config(str(tmp_path / 'mine.py'))
    assert cfg.classes == ('background', 'road', 'tree')


def test_labelme_label_that_is_no_class(monkeypatch, capsys, tmp_path):
    arguments = labelme_folder(tmp_path, [shape('lake', [[0, 0], [30, 20]], 'rectangle')])
    error = fails(monkeypatch, capsys, [*arguments, '--classes', 'background,road'])
    assert "a.json has the label 'lake', which is not among the classes" in error


@pytest.fixture
def coco(tmp_path):
    make_coco(tmp_path / 'coco', train=5, val=1, size=(96, 96), seed=4)
    out = ['--out', tmp_path / 'data', '--config', tmp_path / 'mine.py']
    file = tmp_path / 'coco' / 'annotations' / 'instances_train2017.json'
    return tmp_path, file, ['--json', file, '--images', tmp_path / 'coco' / 'train2017', *out]


def test_coco_masks(monkeypatch, coco):
    root, file, arguments = coco
    assert prepare(monkeypatch, 'coco', *arguments, '--classes', 'background,person,car') == 0
    content = json.loads(file.read_text())
    names = {c['id']: c['name'] for c in content['categories']}
    from pycocotools.coco import COCO

    api = COCO(str(file))
    for image in content['images']:
        labels = written(root, image['file_name'][:-4])
        covered = np.zeros(labels.shape, bool)
        for annotation in api.imgToAnns[image['id']]:
            mask = api.annToMask(annotation) > 0
            covered |= mask
            if not annotation['iscrowd'] and names[annotation['category_id']] == 'person':
                assert (labels[mask] == 1).mean() > 0.3  # smaller things lie over it
        assert (labels[~covered] == 0).all()


def test_coco_detection_trains_as_it_is(monkeypatch, coco):
    pytest.importorskip('mmdet')
    root, _, arguments = coco
    assert prepare(monkeypatch, 'coco', *arguments, '--task', 'detection') == 0
    options = [
        'model.backbone.init_cfg=None',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=9',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.dataset.indices=2',
    ]
    cfg = runs.load_config(str(root / 'mine.py'))
    count = len(cfg.classes)
    assert cfg.model.roi_head.mask_head.num_classes == count >= 2
    text = (root / 'mine.py').read_text()
    small = "dict(type='Resize', scale=(96, 96))"
    text += (
        f'train_pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True, '
        f'with_mask=True), {small}, dict(type="PackDetInputs")]\n'
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n'
    )
    (root / 'small.py').write_text(text)
    arguments = [root / 'small.py', '--work-dir', root / 'run', '--cfg-options', *options]
    assert run_tool(monkeypatch, 'train', *arguments) == 0
    state = read_checkpoint(root / 'run' / 'epoch_1.pth')['state_dict']
    assert state['roi_head.mask_head.conv_logits.weight'].shape[0] == count


def test_coco_faults(monkeypatch, capsys, coco):
    _, file, arguments = coco
    content = json.loads(file.read_text())
    content['annotations'][0]['category_id'] = 999
    file.write_text(json.dumps(content))
    error = fails(monkeypatch, capsys, ['coco', *arguments])
    assert 'is of category 999, which is not there' in error
    file.write_text('{')
    assert f'{file} cannot be read as JSON' in fails(monkeypatch, capsys, ['coco', *arguments])
