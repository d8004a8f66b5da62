"""Labels that a training would silently ignore, or that would stop it, are errors before it starts."""

import json

import cv2
import numpy as np
import pytest

from mmcoat import runs
from mmcoat.datasets import labels
from mmcoat.datasets.images import ImageError, read_channels
from mmcoat.datasets.labels import LabelError
from tests.helpers import ROOT, run_tool
from tests.own.common import draw, segmentation_config

pytest.importorskip('mmseg')
ADE = str(ROOT / 'configs' / 'fpn_coat_lite_s_ade20k.py')


def check_labels(cfg, stages):
    labels.check_labels(runs.datasets(cfg, stages), cfg)


def inheriting(tmp_path, text):
    draw(tmp_path / 'data')
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = {ADE!r}\ndata_root = {str(tmp_path / "data")!r}\n{text}\n')
    return path


def fails(monkeypatch, capsys, *arguments) -> str:
    assert run_tool(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and 'Traceback' not in error
    return error


@pytest.mark.parametrize(
    'name', ['metainfo = dict(classes={}, palette=[[1, 2, 3]] * 3)', 'classes = {}']
)
@pytest.mark.parametrize(
    'classes, message',
    [
        # all three are ADE20K's names: MMSegmentation would map the labels 1 to 3 to 255, loss 0
        (('road', 'field', 'tree'), "label 1 of the maps means 'wall' there, not 'road'"),
        (('road', 'field', 'forest'), 'ADE20KDataset has no class forest'),
    ],
)
def test_a_remap_that_ignores_labels(monkeypatch, capsys, tmp_path, name, classes, message):
    path = inheriting(tmp_path, name.format(classes))
    error = fails(monkeypatch, capsys, 'train', path, '--work-dir', tmp_path / 'run')
    assert message in error
    assert "dataset_type = 'BaseSegDataset'" in error


def test_what_the_message_says_helps(tmp_path):
    path = inheriting(
        tmp_path, "classes = ('road', 'field', 'tree')\ndataset_type = 'BaseSegDataset'"
    )
    cfg = runs.load_config(str(path))
    check_labels(cfg, ('train', 'val'))
    path = inheriting(tmp_path / 'b', "classes = ('road', 'field', 'tree')\nselect_classes = True")
    check_labels(runs.load_config(str(path)), ('train', 'val'))


def test_all_of_the_known_classes_are_no_choice(tmp_path):
    from mmseg.datasets import ADE20KDataset

    path = inheriting(tmp_path, f'classes = {ADE20KDataset.METAINFO["classes"]!r}')
    check_labels(runs.load_config(str(path)), ('train', 'val'))


def rewrite(root, values):
    for path in (root / 'annotations' / 'training').glob('*.png'):
        cv2.imwrite(
            str(path), np.array(values, np.uint8).repeat(64 * 64 // len(values)).reshape(64, 64)
        )


@pytest.mark.parametrize(
    'values, text, message',
    [
        ((0, 1, 4, 255), '', 'holds the label 4, but 3 classes have labels 1 to 3'),
        (
            (0, 3),
            'reduce_zero_label = False',
            'holds the label 3, but 3 classes have labels 0 to 2',
        ),
        ((0, 255), '', 'hold nothing but ignored pixels'),
    ],
)
def test_labels_without_a_class(monkeypatch, capsys, tmp_path, values, text, message):
    root = draw(tmp_path / 'data')
    rewrite(root, values)
    path = segmentation_config(tmp_path / 'mine.py', root, text)
    assert message in fails(monkeypatch, capsys, 'train', path, '--work-dir', tmp_path / 'run')


def test_coloured_masks(tmp_path):
    root = draw(tmp_path / 'data')
    cv2.imwrite(str(root / 'annotations/training/a.png'), np.zeros((64, 64, 3), np.uint8))
    cfg = runs.load_config(str(segmentation_config(tmp_path / 'mine.py', root)))
    with pytest.raises(LabelError, match=r'a.png is a colour picture.*prepare_dataset.py pairs'):
        check_labels(cfg, ('train',))


def test_a_split_file_names_what_is_not_there(tmp_path):
    root = draw(tmp_path / 'data')
    (root / 'train.txt').write_text('a\nz\n')
    text = "train_ann_file = 'train.txt'"
    cfg = runs.load_config(str(segmentation_config(tmp_path / 'mine.py', root, text)))
    with pytest.raises(LabelError, match=r'images/training/z\.jpg does not exist'):
        check_labels(cfg, ('train',))
    (root / 'train.txt').write_text('a\n')
    check_labels(cfg, ('train',))


def test_images_of_another_number_of_channels(tmp_path):
    root = draw(tmp_path / 'data', '.npy', 8)
    text = "img_suffix = '.npy'\nmean = [1, 2, 3, 4]\nstd = [1, 1, 1, 1]"
    cfg = runs.load_config(str(segmentation_config(tmp_path / 'mine.py', root, text)))
    with pytest.raises(ImageError, match='has 8 channels, expected 4'):
        check_labels(cfg, ('train',))


def test_reading_channels(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (20, 30, 5), np.uint8)
    np.save(tmp_path / 'last.npy', image)
    np.save(tmp_path / 'first.npy', image.transpose(2, 0, 1))
    for name in ('last', 'first'):
        np.testing.assert_array_equal(read_channels(tmp_path / f'{name}.npy', 5), image)
    pages = [np.ascontiguousarray(image[..., i]) for i in range(5)]
    assert cv2.imwritemulti(str(tmp_path / 'pages.tif'), pages)
    np.testing.assert_array_equal(read_channels(tmp_path / 'pages.tif', 5), image)
    monkeypatch.setitem(__import__('sys').modules, 'tifffile', None)  # without it OpenCV reads
    np.testing.assert_array_equal(read_channels(tmp_path / 'pages.tif', 5), image)
    colour = image[..., :4]
    cv2.imwrite(str(tmp_path / 'rgba.png'), colour[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(read_channels(tmp_path / 'rgba.png', 4), colour)
    assert read_channels(tmp_path / 'rgba.png', 1).shape == (20, 30, 1)
    for name, text in (('none.png', 'does not exist'), ('bad.npy', 'cannot be read as an image')):
        if name == 'bad.npy':
            (tmp_path / name).write_bytes(b'nothing')
        with pytest.raises(ImageError, match=text):
            read_channels(tmp_path / name, 3)


def coco_file(path, **parts):
    path.write_text(json.dumps(parts))
    return dict(type='CocoDataset', data_root=str(path.parent), ann_file=path.name)


def test_categories_are_read_without_the_rest(monkeypatch, tmp_path):
    """Only where a class seems to be missing is the whole of COCO's file read."""
    entries = [dict(id=1, name='cup'), dict(id=2, name='ball')]
    first = coco_file(tmp_path / 'first.json', categories=entries, images=[], annotations=[])
    last = coco_file(tmp_path / 'last.json', images=[], annotations=[], categories=entries)
    # an object's own key of that name comes last
    nested = dict(id=1, categories=[dict(name='lid')])
    other = coco_file(tmp_path / 'other.json', categories=entries, annotations=[nested])
    labels.check_categories(other, ['cup'])
    monkeypatch.setattr(json, 'loads', lambda text: 1 / 0)
    for dataset in (first, last):
        labels.check_categories(dataset, ['ball', 'cup'])
    with pytest.raises(ZeroDivisionError):
        labels.check_categories(last, ['cup', 'lid'])


@pytest.mark.parametrize(
    'text', ['', '{"categories": [{"id": 1, "name": "cup"}], "images": [', '[]']
)
def test_broken_annotation_files(tmp_path, text):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(LabelError, match="is not an annotation file in COCO's format"):
        labels.check_categories(dict(data_root=str(tmp_path), ann_file='x.json'), ['cup'])


def test_a_category_that_is_not_there(tmp_path):
    dataset = coco_file(tmp_path / 'x.json', categories=[dict(id=1, name='cup')])
    with pytest.raises(LabelError, match=r'x\.json has no category lid; it has cup'):
        labels.check_categories(dataset, ['lid'])
