"""Each fault in images and label maps gives its own finding."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from mmcoat.datasets import checks
from tests.datasets.check_sets import HEIGHT, WIDTH, Maps, lines, turn

pytest.importorskip('mmseg')


@pytest.fixture
def maps(tmp_path):
    return Maps(tmp_path)


def truncate(path, keep=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def colour(maps):
    maps.put(np.repeat(maps.labels[..., None], 3, axis=2))


def wide(maps):
    maps.put(maps.labels.astype(np.uint16) + 256)


def floating(maps):
    maps.dataset['seg_map_suffix'] = '.tif'
    for name in 'abc':
        maps.put(maps.labels.astype(np.float32) + 0.5, name, '.tif')


def bit_by_opencv(maps):
    maps.dataset['pipeline'][1]['imdecode_backend'] = 'cv2'
    maps.put(maps.labels > 1)


def palette_by_opencv(maps):
    maps.dataset['pipeline'][1]['imdecode_backend'] = 'cv2'
    palette(maps)


def palette(maps):
    image = Image.fromarray(maps.labels, mode='P')
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(maps.maps / 'a.png')


def above(maps):
    labels = maps.labels.copy()
    labels[:2] = 9
    maps.put(labels)


def select(maps, classes, value):
    maps.dataset.update(type='ADE20KDataset', metainfo=dict(classes=classes))
    for name in 'abc':
        maps.put(np.where(maps.labels < 2, value, 4).astype(np.uint8), name)


def upper_case(maps):
    (maps.images / 'b.jpg').rename(maps.images / 'b.JPG')
    shutil.copy(maps.images / 'a.jpg', maps.images / 'd.jpeg')


def dangling_map(maps):
    (maps.maps / 'a.png').unlink()
    (maps.maps / 'a.png').symlink_to('nowhere.png')


def listed_but_missing(maps):
    (maps.root / 'train.txt').write_text('a\nb\nnone\n')
    maps.dataset['ann_file'] = 'train.txt'


def turned(maps, color_type, orientation=3):
    maps.dataset['pipeline'][0] = dict(type='LoadImageFromFile', color_type=color_type)
    turn(maps.images / 'a.jpg', orientation)


def deep(maps):
    maps.dataset['img_suffix'] = '.png'
    for path in maps.images.glob('*.jpg'):
        grey = np.asarray(Image.open(path).convert('L')).astype(np.uint16)
        Image.fromarray(grey * 16).save(path.with_suffix('.png'))
        path.unlink()


def skip(maps):
    maps.dataset['pipeline'].insert(0, dict(type='mmcoat.SkipBroken'))
    truncate(maps.images / 'a.jpg')
    truncate(maps.maps / 'b.png', 0.5)


CASES = {
    'broken, but left out': (skip, 'skipped', r'\(2\): a\.jpg \(.*, b\.png'),
    '16-bit image': (deep, 'deep_image', r'\(3\): a\.png \(mode I;16'),
    'truncated image': (lambda m: truncate(m.images / 'a.jpg'), 'unreadable_image', r'a\.jpg'),
    'empty image': (lambda m: truncate(m.images / 'b.jpg', 0), 'unreadable_image', 'an empty file'),
    'no image': (
        lambda m: (m.images / 'a.jpg').write_text('<html>'),
        'unreadable_image',
        'not an image',
    ),
    'truncated map': (lambda m: truncate(m.maps / 'a.png', 0.5), 'unreadable_map', r'a\.png'),
    'empty map': (lambda m: truncate(m.maps / 'a.png', 0), 'unreadable_map', 'an empty file'),
    'map is a folder': (
        lambda m: ((m.maps / 'a.png').unlink(), (m.maps / 'a.png').mkdir()),
        'unreadable_map',
        'a folder',
    ),
    'map is missing': (lambda m: (m.maps / 'a.png').unlink(), 'missing_map', r'a\.jpg \(no a\.png'),
    'map is a dangling link': (dangling_map, 'missing_map', r'a\.png \(a dangling link'),
    'image is missing': (lambda m: (m.images / 'a.jpg').unlink(), 'missing_image', r'a\.png'),
    'listed image is missing': (listed_but_missing, 'missing_file', r'none\.jpg'),
    'map too small': (lambda m: m.put(m.labels[:20]), 'map_size', 'map 48x20, image 48x40'),
    'map too large': (lambda m: m.put(m.labels.repeat(2, 0)), 'map_size', 'map 48x80'),
    'map in colour': (colour, 'map_colour', 'mode RGB'),
    'palette read by OpenCV': (palette_by_opencv, 'map_colour', 'a palette'),
    '16 bits that wrap': (wide, 'map_values_change', 'from 256 to 259'),
    'float': (floating, 'map_values_change', 'float, from 0.5 to 3.5'),
    '1 bit read by OpenCV': (bit_by_opencv, 'map_values_change', '1 bit, from 0 to 1'),
    'palette': (palette, 'map_mode', 'palette'),
    '16 bits that fit': (lambda m: m.put(m.labels.astype(np.uint16)), 'map_mode', '16 bits'),
    '1 bit': (lambda m: m.put(m.labels > 1), 'map_mode', '1 bit'),
    'value above the classes': (above, 'values', r'value 9: 96 pixels; classes are 1 to 3'),
    'map ignored': (lambda m: m.put(m.labels * 0), 'ignored_map', r'a\.png'),
    'all maps ignored': (
        lambda m: [m.put(m.labels * 0, name) for name in 'abc'],
        'all_ignored',
        f'{3 * WIDTH * HEIGHT} pixels',
    ),
    'selection ignores all': (
        lambda m: select(m, ('sea', 'sky', 'car'), 9),
        'remap_all',
        'sea, sky',
    ),
    'selection ignores a part': (
        lambda m: select(m, ('grass', 'sky', 'floor'), 9),
        'remap_part',
        '2880 of 5760',
    ),
    'zero label': (
        lambda m: m.dataset.update(reduce_zero_label=False),
        'zero_label',
        'True in LoadAnnotations, False',
    ),
    'too few outputs': (
        lambda m: m.cfg['model']['decode_head'].update(num_classes=2),
        'few_outputs',
        'num_classes 2, metainfo names 3',
    ),
    'too many outputs': (
        lambda m: m.cfg['model']['decode_head'].update(num_classes=150),
        'many_outputs',
        'num_classes 150',
    ),
    'other endings': (upper_case, 'other_suffix', r'\(2\): b\.JPG, d\.jpeg'),
    'folder with the name of an image': (
        lambda m: (m.images / 'd.jpg').mkdir(),
        'not_a_file',
        r'd\.jpg',
    ),
    'link to nowhere': (
        lambda m: (m.images / 'd.jpg').symlink_to('nowhere'),
        'not_a_file',
        r'd\.jpg',
    ),
    'macOS': (lambda m: (m.images / '._a.jpg').write_bytes(b'x'), 'hidden_file', r'\._a\.jpg'),
    'one colour': (
        lambda m: Image.new('RGB', (WIDTH, HEIGHT), 'red').save(m.images / 'a.jpg'),
        'blank_image',
        r'a\.jpg',
    ),
    'turned by EXIF': (lambda m: turned(m, 'color'), 'turned_image', 'EXIF orientation 3'),
}


@pytest.mark.parametrize(('spoil', 'name', 'detail'), CASES.values(), ids=CASES)
def test_each_fault_has_its_finding(maps, spoil, name, detail):
    spoil(maps)
    report = maps.check()
    found = lines(report)
    assert name in found
    assert checks.KINDS[name].text in found[name]
    assert re.search(detail, found[name]), found[name]
    assert set(found) <= {name, *EXPLAINED.get(name, ())}, found
    assert report.exit_status == (2 if checks.KINDS[name].level == 'error' else 0)


# what may be said besides
EXPLAINED = {'zero_label': ('values',), 'map_values_change': ('values', 'ignored_map')}


def test_a_sound_set(maps):
    report = maps.check()
    assert lines(report) == {}
    one = report.sets[0]
    assert [(row.name, row.images, row.amount) for row in one.classes] == [
        (name, 3, 3 * WIDTH * HEIGHT // 4) for name in ('road', 'field', 'forest')
    ]
    assert one.sizes == [(WIDTH, HEIGHT)] * 3
    assert one.ignored == 3 * WIDTH * HEIGHT // 4


def test_classes_that_the_data_set_type_does_not_have(maps):
    maps.dataset.update(type='ADE20KDataset', metainfo=dict(classes=('road', 'moss')))
    with pytest.raises(checks.DataError, match=r"'moss', which ADE20KDataset does not have"):
        maps.check()


def test_formats_of_other_readers_are_not_opened(maps):
    for path in (maps.images / 'a.jpg', maps.maps / 'a.png'):
        path.write_bytes(b'an array of some kind')
    maps.dataset['pipeline'] = [dict(type='LoadMyImage'), dict(type='LoadMyMap')]
    assert lines(maps.check()) == {}
    (maps.images / 'b.jpg').write_bytes(b'')
    assert set(lines(maps.check())) == {'unreadable_image'}


def test_what_is_not_turned_is_no_finding(maps):
    turned(maps, 'color_ignore_orientation')
    assert lines(maps.check()) == {}


def test_size_of_a_turned_image(maps):
    """A map that was drawn on the rotated image."""
    turned(maps, 'color_ignore_orientation', orientation=6)
    maps.put(np.ascontiguousarray(maps.labels.T))
    assert 'EXIF orientation 6' in lines(maps.check())['map_size']


@pytest.mark.parametrize('workers', [1, 3])
def test_processes_see_what_threads_see(maps, workers, monkeypatch):
    above(maps)
    expected = maps.check(workers=1).as_dict()
    if workers > 1:
        monkeypatch.setattr(checks.pool, 'PROCESSES_FROM', 0)
    assert maps.check(workers=workers).as_dict() == expected


def test_a_sample_is_spread_and_names_what_is_missing(maps):
    os.unlink(maps.maps / 'b.png')
    calls = []
    report = maps.check(sample=1, progress=lambda *call: calls.append(call))
    assert report.sets[0].opened == 1
    assert calls == [('train', 1, 1)]
    assert 'missing_map' in lines(report)
