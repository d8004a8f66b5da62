"""Each fault in a COCO file gives its own finding, with the ids of annotations."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mmcoat.datasets import checks
from mmcoat.datasets.synthetic import mask_to_rle
from tests.datasets.check_sets import HEIGHT, WIDTH, Coco, lines, turn

pytest.importorskip('mmdet')


@pytest.fixture
def coco(tmp_path):
    return Coco(tmp_path)


def box(*values):
    """Set the first box, without the polygon that would contradict it."""

    def spoil(coco):
        coco.first.update(bbox=list(values))
        coco.first.pop('segmentation')
        coco.dataset['pipeline'][1]['with_mask'] = False

    return spoil


def all_boxes(change):
    def spoil(coco):
        for entry in coco.content['annotations']:
            entry['bbox'] = change(*entry['bbox'])
            entry.pop('segmentation')
        coco.dataset['pipeline'][1]['with_mask'] = False

    return spoil


def first(**values):
    return lambda coco: coco.first.update(values)


def without(section, key):
    return lambda coco: coco.content[section][0].pop(key)


def again(section, **values):
    return lambda coco: coco.content[section].append({**coco.content[section][0], **values})


def rename(coco):
    coco.content['categories'][1]['name'] = 'Dog'


def reorder(coco):
    coco.content['categories'].reverse()


def rle(height, width, more=0):
    mask = np.zeros((height, width), bool)
    mask[:10, :20] = True
    encoded = mask_to_rle(mask)
    encoded['counts'][-1] += more
    return encoded


def compressed(coco, counts=None):
    from pycocotools import mask

    array = np.asfortranarray(np.zeros((HEIGHT, WIDTH), np.uint8))
    array[3:30, 5:9] = 1
    array[7:9, 20:40] = 1
    encoded = mask.encode(array)
    coco.first['segmentation'] = dict(
        size=encoded['size'], counts=encoded['counts'].decode() if counts is None else counts
    )


def turned(orientation, swap=False):
    def spoil(coco):
        turn(coco.images / '1.jpg', orientation)
        if swap:
            coco.content['images'][0].update(width=HEIGHT, height=WIDTH)

    return spoil


def remove_file(coco):
    (coco.images / '1.jpg').unlink()


def folder(coco):
    remove_file(coco)
    (coco.images / '1.jpg').mkdir()


def link(coco):
    remove_file(coco)
    (coco.images / '1.jpg').symlink_to('nowhere')


def truncate(coco):
    data = (coco.images / '1.jpg').read_bytes()
    (coco.images / '1.jpg').write_bytes(data[: len(data) // 2])


def hidden(coco):
    (coco.images / '._1.jpg').write_bytes(b'x')


def more_images(coco):
    (coco.images / 'other').mkdir()
    Image.new('RGB', (8, 8)).save(coco.images / 'other' / 'new.jpg')
    Image.new('RGB', (8, 8)).save(coco.images / 'new.jpg')


def drop_section(name):
    return lambda coco: coco.content.pop(name)


def no_crowd(coco):
    coco.dataset['test_mode'] = True
    coco.first.pop('iscrowd')


def one_class(coco):
    coco.dataset['metainfo'] = dict(classes=('cat',))
    coco.cfg['model']['bbox_head']['num_classes'] = 1


def only_first_category(coco):
    del coco.content['categories'][1]
    coco.content['annotations'] = coco.content['annotations'][::2]


CASES = {
    'no categories': (drop_section('categories'), 'sections', r'categories \(missing'),
    'annotations are no list': (
        lambda c: c.content.update(annotations={}),
        'sections',
        r'annotations \(no list',
    ),
    'a category renamed': (rename, 'missing_class', "dog .the file has 'Dog'"),
    'a part of the categories': (only_first_category, 'missing_class', r'\(1\): dog'),
    'a class fewer': (one_class, 'ignored_category', r'dog \(3 annotations'),
    'another order': (reorder, 'class_order', "class 0 is 'cat' in the config, 'dog' in the file"),
    'category without name': (without('categories', 'name'), 'category_keys', 'number 0'),
    'repeated category': (again('categories', name='x'), 'repeated_category', 'id 1'),
    'repeated name': (again('categories', id=7), 'repeated_category', "name 'cat'"),
    'box outside': (box(100, 3, 20, 10), 'box_outside', r'annotation 1 \(\[100, 3.*image 48x40'),
    'box over the edge': (box(40, 3, 20, 10), 'box_over_edge', 'annotation 1 '),
    'negative box': (box(30, 3, -20, 10), 'box_negative', 'annotation 1 '),
    'NaN': (box(2, float('nan'), 20, 10), 'box_form', 'nan'),
    'three numbers': (box(2, 3, 20), 'box_form', r'annotation 1 \(\[2, 3, 20\]'),
    'text in a box': (box('2', 3, 20, 10), 'box_form', 'annotation 1 '),
    'flat box': (box(2, 3, 20, 0), 'box_degenerate', 'annotation 1 '),
    'area of 0': (first(area=0), 'box_degenerate', 'area 0'),
    'normalised': (
        all_boxes(lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]),
        'boxes_normalised',
        'between 0 and 1',
    ),
    'two corners': (
        all_boxes(lambda x, y, w, h: [x, y, x + w, y + h]),
        'boxes_xyxy',
        '3 of 6 reach over the edge',
    ),
    'box beside its polygon': (first(bbox=[12, 12, 20, 10]), 'box_mask', 'annotation 1 '),
    'repeated image': (again('images', file_name='3.jpg'), 'repeated_image', r'1 \(3\.jpg'),
    'repeated file': (again('images', id=9), 'repeated_file', r'1\.jpg'),
    'repeated annotation': (again('annotations'), 'repeated_annotation', r'\(1\): 1'),
    'unknown image': (first(image_id=77), 'unknown_image', r'annotation 1 \(image_id 77'),
    'image id as text': (first(image_id='1'), 'unknown_image', r"annotation 1 \(image_id '1'"),
    'unknown category': (first(category_id=9), 'unknown_category', 'category_id 9'),
    'polygon of two points': (first(segmentation=[[2, 3, 22, 13]]), 'polygon', '4 numbers'),
    'odd polygon': (first(segmentation=[[2, 3, 22, 3, 22, 13, 2]]), 'polygon', 'an odd count'),
    'flat polygon': (first(segmentation=[2, 3, 22, 3, 22, 13]), 'polygon', 'not a list'),
    'polygon outside': (
        first(segmentation=[[2, 3, 99, 3, 99, 13]]),
        'polygon_outside',
        'annotation 1 ',
    ),
    'no mask': (lambda c: c.first.pop('segmentation'), 'no_mask', 'annotation 1'),
    'RLE of another size': (
        first(segmentation=rle(WIDTH, HEIGHT)),
        'rle_size',
        r'size \[48, 40\], image \[40, 48\]',
    ),
    'RLE too long': (first(segmentation=rle(HEIGHT, WIDTH, 5)), 'rle', 'runs of 1925 pixels'),
    'compressed RLE too long': (lambda c: compressed(c, 'PPYo1'), 'rle', 'runs of'),
    'compressed RLE of rubbish': (lambda c: compressed(c, '\x7f\x01'), 'rle', 'annotation 1'),
    'image size': (
        lambda c: c.content['images'][0].update(width=50),
        'image_size',
        r'1\.jpg \(file 48x40, annotations 50x40',
    ),
    'image without width': (without('images', 'width'), 'image_keys', "image 1 .width 'missing'"),
    'image without name': (without('images', 'file_name'), 'image_keys', 'file_name'),
    'annotation without area': (
        without('annotations', 'area'),
        'annotation_keys',
        "area 'missing'",
    ),
    'annotation without box': (without('annotations', 'bbox'), 'annotation_keys', 'annotation 1 '),
    'no iscrowd': (no_crowd, 'crowd_key', 'annotation 1'),
    'missing file': (remove_file, 'missing_file', r'1\.jpg'),
    'folder': (folder, 'missing_file', 'a folder'),
    'dangling link': (link, 'missing_file', 'a dangling link'),
    'truncated image': (truncate, 'unreadable_image', r'1\.jpg'),
    'macOS': (hidden, 'hidden_file', r'\._1\.jpg'),
    'images without entry': (more_images, 'unlisted_image', r'\(1\): new\.jpg'),
    'turned, boxes not': (turned(6), 'turned_image', 'EXIF orientation 6'),
    'turned by 180 degrees': (turned(3), 'perhaps_turned_image', 'EXIF orientation 3'),
    'no annotations': (lambda c: c.content['annotations'].clear(), 'no_boxes', 'of 0 annotations'),
    'too few outputs': (
        lambda c: c.cfg['model']['bbox_head'].update(num_classes=1),
        'few_outputs',
        'num_classes 1',
    ),
}


@pytest.mark.parametrize(('spoil', 'name', 'detail'), CASES.values(), ids=CASES)
def test_each_fault_has_its_finding(coco, spoil, name, detail):
    spoil(coco)
    report = coco.check()
    found = lines(report)
    assert name in found
    assert checks.KINDS[name].text in found[name]
    assert re.search(detail, found[name]), found[name]
    assert set(found) <= {name, *EXPLAINED.get(name, ())}, found
    assert report.exit_status == (2 if checks.KINDS[name].level == 'error' else 0)


# what may be said besides
EXPLAINED = {
    'missing_class': ('ignored_category',),
    'category_keys': ('missing_class',),
    'repeated_category': ('missing_class',),
    'box_form': ('polygon',),
}


def test_a_sound_set(coco):
    report = coco.check()
    assert lines(report) == {}
    one = report.sets[0]
    rows = [(row.name, row.images, row.amount, row.area) for row in one.classes]
    assert rows == [('cat', 3, 3, 200), ('dog', 3, 3, 396)]
    assert one.empty == 0
    assert sorted(one.areas) == [200] * 3 + [396] * 3


def test_boxes_on_the_turned_image(coco):
    turned(6, swap=True)(coco)
    coco.content['annotations'] = coco.content['annotations'][2:] + [
        {**coco.first, 'bbox': [2, 3, 20, 10], 'id': 99}
    ]
    assert lines(coco.check()) == {}


def test_a_few_flat_boxes_do_not_end_a_training(coco):
    box(2, 3, 20, 0)(coco)
    assert coco.check().exit_status == 2
    third = coco.content['annotations'][2]
    coco.content['annotations'] += [{**third, 'id': 100 + i} for i in range(100)]
    report = coco.check()
    assert [f.name for f in report.findings('warning')] == ['box_degenerate']
    assert report.exit_status == 0


def test_other_data_sets_are_left_alone(coco):
    coco.dataset['type'] = 'LVISV1Dataset'  # it reads its file in another way
    (one,) = coco.check().sets
    assert one.kind == ''
    assert list(one.findings) == []


@pytest.mark.parametrize('text', ['', '{"images": [', '[1, 2]', '\x00\xff'])
def test_broken_json(coco, text):
    (found,) = coco.check(text).findings()
    assert found.name in ('json', 'sections')


@pytest.mark.parametrize('form', [compressed, lambda c: first(segmentation=rle(HEIGHT, WIDTH))(c)])
def test_sound_run_lengths(coco, form):
    form(coco)
    assert lines(coco.check()) == {}


def test_run_lengths_are_those_of_pycocotools():
    from pycocotools import mask

    from mmcoat.datasets.checks.coco_masks import _decode

    rng = np.random.default_rng(0)
    for share in (0.01, 0.5, 0.99):
        array = np.asfortranarray(rng.random((70, 90)) < share, dtype=np.uint8)
        assert _decode(mask.encode(array)['counts'].decode()) == mask_to_rle(array > 0)['counts']


def test_report_is_json(coco):
    box(2, float('nan'), 20, 10)(coco)
    content = json.loads(json.dumps(coco.check().as_dict(), allow_nan=False))
    assert content['exit_status'] == 2
    assert content['sets'][0]['findings'][0]['name'] == 'box_form'


def test_all_kinds_are_tried():
    from tests.datasets import test_check_segmentation as segmentation

    tried = {name for _, name, _ in [*CASES.values(), *segmentation.CASES.values()]}
    assert set(checks.KINDS) - tried == {'json'}  # test_broken_json


RUBBISH = [None, '', [], {}, -1, 0, 1e400, 'x', True, [1], [[1]], [None] * 4, 2**70, ['a'] * 6]
RUBBISH += [
    [[None] * 6],
    [[]],
    {'counts': [1], 'size': [HEIGHT, WIDTH]},
    {'counts': 'ab', 'size': 1},
]


@pytest.mark.parametrize('section', ['images', 'annotations', 'categories'])
def test_rubbish_in_any_key_is_no_traceback(coco, section):
    entry = coco.content[section][0]
    for key, sound in [*entry.items()]:
        for value in RUBBISH:
            entry[key] = value
            assert all(f.line() for f in coco.check(workers=1).findings())
        entry[key] = sound
    for value in RUBBISH:
        coco.content[section][0] = value
        assert coco.check(workers=1).exit_status == 2
