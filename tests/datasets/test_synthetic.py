"""Tests of the synthetic data sets: files, labels, annotations, and properties of the pictures."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmcoat.datasets import synthetic
from tests.helpers import ROOT, run_tool


@pytest.fixture(scope='module')
def ade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('ade') / 'data'
    synthetic.make_ade20k(root, train=60, val=20, seed=3)
    return root


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('coco') / 'data'
    synthetic.make_coco(root, train=60, val=20, seed=3)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def ade_pairs(root: Path, folder: str) -> list[tuple[np.ndarray, np.ndarray]]:
    images = sorted((root / 'images' / folder).iterdir())
    labels = sorted((root / 'annotations' / folder).iterdir())
    assert [path.stem for path in images] == [path.stem for path in labels]
    return [
        (cv2.imread(str(image)), cv2.imread(str(label), cv2.IMREAD_UNCHANGED))
        for image, label in zip(images, labels, strict=True)
    ]


@pytest.mark.parametrize('make', [synthetic.make_ade20k, synthetic.make_coco])
def test_same_seed_same_bytes(make, tmp_path: Path) -> None:
    for name, seed in (('a', 5), ('b', 5), ('c', 6)):
        make(tmp_path / name, train=4, val=3, seed=seed)
    first, again, other = (contents(tmp_path / name) for name in 'abc')
    assert first == again
    images = [name for name in first if name.endswith('.jpg')]
    assert len(images) == 7
    assert all(first[name] != other[name] for name in images)
    assert len({first[name] for name in images}) == 7  # train and val are apart, too


@pytest.mark.parametrize('make', [synthetic.make_ade20k, synthetic.make_coco])
def test_larger_set_begins_with_the_smaller(make, tmp_path: Path) -> None:
    make(tmp_path / 'small', train=2, val=1)
    make(tmp_path / 'large', train=4, val=2)
    small, large = contents(tmp_path / 'small'), contents(tmp_path / 'large')
    images = [name for name in small if name.endswith('.jpg')]
    assert len(images) == 3
    assert all(small[name] == large[name] for name in images)


def test_ade20k_layout(ade: Path) -> None:
    for folder, split, count in (('training', 'train', 60), ('validation', 'val', 20)):
        names = sorted(path.name for path in (ade / 'images' / folder).iterdir())
        assert names == [f'ADE_{split}_{number:08d}.jpg' for number in range(1, count + 1)]
        for image, label in ade_pairs(ade, folder):
            assert image.shape == (128, 160, 3)
            assert label.shape == (128, 160)
            assert label.dtype == np.uint8
    info = json.loads((ade / 'dataset_info.json').read_text())
    assert info['complete']
    assert (info['seed'], info['train'], info['val']) == (3, 60, 20)
    lines = (ade / 'objectInfo150.txt').read_text().splitlines()
    assert len(lines) == 151
    assert lines[3].startswith('3\t')
    assert lines[3].endswith('\tsky')


def test_ade20k_labels(ade: Path) -> None:
    valid = {synthetic.ade20k_value(name) for name in synthetic.STREET_CLASSES}
    assert len(valid) >= 10
    for folder, often in (('training', 0.25), ('validation', 0.1)):
        pairs = ade_pairs(ade, folder)
        per_image = [set(np.unique(label).tolist()) for _, label in pairs]
        assert set().union(*per_image) <= valid | {0}
        for value in valid:  # no class is rare
            assert np.mean([value in values for values in per_image]) >= often, value
        labels = np.stack([label for _, label in pairs])
        assert np.mean(labels == 0) < 0.02
        for value in valid:
            assert np.mean(labels == value) > 0.01, value


# By OpenCV's major version: OpenCV 5 draws the edges of polygons a little otherwise than OpenCV 4.
STREETS = {'4': ('6ac818081bf1fe1d', 178.724), '5': ('b9573157b227b66d', 177.380)}
OBJECTS = {'4': ('6cc1aa70fbd5eeea', 130.714), '5': ('f2ed45a4aaff5a47', 130.755)}


@pytest.mark.parametrize(
    ('draw', 'golden'), [(synthetic.street_scene, STREETS), (synthetic.object_scene, OBJECTS)]
)
def test_scenes_stay_the_same(draw, golden: dict[str, tuple[str, float]]) -> None:
    """The demos' results depend on them: a change of the scenes is a new GENERATOR_VERSION."""
    scenes = [draw(np.random.default_rng([0, 0, index]), 160, 128) for index in range(12)]
    digest = hashlib.sha256()
    for region in (region for scene in scenes for region in scene.regions):
        digest.update(f'{region.name} {region.crowd}'.encode() + region.mask.tobytes())
    masks, colours = golden[cv2.__version__.split('.')[0]]
    assert digest.hexdigest()[:16] == masks
    # Colours are rounded a little otherwise by other processors: the last bit of a few pixels. Any change
    # of the drawing moves this projection by more than 0.1.
    images = np.stack([scene.image for scene in scenes]).ravel()
    weights = np.random.default_rng(0).standard_normal(images.size)
    assert images @ weights / images.size**0.5 == pytest.approx(colours, abs=0.02)


def test_vocabulary() -> None:
    names = {1: 'wall', 2: 'building', 3: 'sky', 5: 'tree', 7: 'road', 10: 'grass', 21: 'car'}
    names |= {12: 'sidewalk', 13: 'person', 14: 'earth', 17: 'mountain', 22: 'water', 150: 'flag'}
    assert all(synthetic.ade20k_value(name) == value for value, name in names.items())
    ids = {entry['name']: entry['id'] for entry in synthetic.coco_categories()}
    assert list(ids) == list(synthetic.coco_classes())
    known = {'person': 1, 'fire hydrant': 11, 'stop sign': 13, 'bear': 23, 'backpack': 27}
    known |= {'handbag': 31, 'wine glass': 46, 'dining table': 67, 'toilet': 70, 'tv': 72}
    known |= {'refrigerator': 82, 'book': 84, 'toothbrush': 90}
    assert known.items() <= ids.items()


def test_colour_does_not_tell_the_class(ade: Path) -> None:
    assert synthetic.colour_baseline_miou(ade) <= 0.5


def test_colour_baseline_sees_colours(tmp_path: Path) -> None:
    # Where colour does tell the class, the baseline finds it: a low score is no accident.
    root = tmp_path / 'plain'
    synthetic.make_ade20k(root, train=2, val=1)
    for path in root.glob('annotations/*/*.png'):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        label = np.where(label == 3, 3, 10).astype(np.uint8)
        cv2.imwrite(str(path), label)
        image = np.where(label[..., None] == 3, (250, 20, 20), (20, 250, 20)).astype(np.uint8)
        folder = root / 'images' / path.parent.name
        cv2.imwrite(str(folder / f'{path.stem}.jpg'), image)
    assert synthetic.colour_baseline_miou(root) > 0.9


def test_coco_layout(coco: Path) -> None:
    ids = set()
    for split, count in (('train', 60), ('val', 20)):
        content = json.loads((coco / f'annotations/instances_{split}2017.json').read_text())
        assert len(content['images']) == count
        assert content['categories'] == synthetic.coco_categories()
        files = {path.name for path in (coco / f'{split}2017').iterdir()}
        assert files == {image['file_name'] for image in content['images']}
        for image in content['images']:
            assert image['file_name'] == f'{image["id"]:012d}.jpg'
            shape = cv2.imread(str(coco / f'{split}2017' / image['file_name'])).shape
            assert shape == (image['height'], image['width'], 3)
            assert image['id'] not in ids
            ids.add(image['id'])


def test_coco_annotations(coco: Path) -> None:
    masks = pytest.importorskip('pycocotools.mask')
    from pycocotools.coco import COCO

    data = COCO(str(coco / 'annotations/instances_train2017.json'))
    annotations = data.dataset['annotations']
    assert len({annotation['id'] for annotation in annotations}) == len(annotations)
    taken: dict[int, np.ndarray] = {}
    for annotation in annotations:
        mask = data.annToMask(annotation)
        assert mask.sum() == annotation['area']
        assert masks.toBbox(data.annToRLE(annotation)).tolist() == annotation['bbox']
        assert annotation['iscrowd'] == isinstance(annotation['segmentation'], dict)
        before = taken.setdefault(annotation['image_id'], np.zeros_like(mask))
        assert not (before & mask).any()  # only what is seen is annotated
        before |= mask
    assert any(annotation['iscrowd'] for annotation in annotations)
    assert len(taken) < 60  # some images show nothing
    names = {data.cats[annotation['category_id']]['name'] for annotation in annotations}
    assert names == set(synthetic.OBJECT_CLASSES)
    areas = np.array([annotation['area'] for annotation in annotations])
    assert 0 < np.mean(areas < 32**2) < 0.4
    assert np.any(areas > 96**2)
    pieces = [len(entry['segmentation']) for entry in annotations if not entry['iscrowd']]
    assert max(pieces) > 1  # something is split by what stands before it


@pytest.mark.parametrize('density', [0.05, 0.3, 0.6, 0.9, 1.0])
def test_polygons_and_runs_are_exact(density: float) -> None:
    masks = pytest.importorskip('pycocotools.mask')
    rng = np.random.default_rng(0)
    for _ in range(20):  # noise has every hole, island and diagonal contact there is
        mask = rng.random((17, 23)) < density
        polygons = masks.frPyObjects(synthetic.mask_to_polygons(mask), *mask.shape)
        assert np.array_equal(masks.decode(masks.merge(polygons)), mask)
        runs = masks.frPyObjects(synthetic.mask_to_rle(mask), *mask.shape)
        assert np.array_equal(masks.decode(runs), mask)


def test_empty_mask() -> None:
    assert synthetic.mask_to_polygons(np.zeros((4, 5), bool)) == []
    assert synthetic.mask_to_rle(np.zeros((4, 5), bool))['counts'] == [20]


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ({'train': 0}, 'train'),
        ({'val': -1}, 'val'),
        ({'size': (63, 128)}, 'size'),
        ({'size': (128, 4096)}, 'size'),
        ({'seed': -1}, 'seed'),
    ],
)
@pytest.mark.parametrize('make', [synthetic.make_ade20k, synthetic.make_coco])
def test_bad_requests(make, arguments: dict, word: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=word):
        make(tmp_path / 'data', **arguments)
    assert not (tmp_path / 'data').exists()


@pytest.mark.parametrize('size', [(64, 64), (96, 200), (400, 96)])
def test_other_sizes(size: tuple[int, int]) -> None:
    for draw in (synthetic.street_scene, synthetic.object_scene):
        for seed in range(8):
            scene = draw(np.random.default_rng(seed), *size)
            assert scene.image.shape == (size[1], size[0], 3)
            assert scene.image.dtype == np.uint8
            assert all(region.mask.shape == (size[1], size[0]) for region in scene.regions)
            assert np.sum(scene.visible_masks(), 0).max() == 1


@pytest.mark.parametrize('layout', ['ade20k', 'coco'])
def test_tool(layout: str, tmp_path: Path, monkeypatch, capsys) -> None:
    command = ['make_synthetic_dataset', layout, tmp_path / 'data']
    command += ['--train', '3', '--val', '2', '--size', '96', '80', '--preview']
    assert run_tool(monkeypatch, *command) == 0
    assert capsys.readouterr().out.startswith(f'{layout}: 3 training and 2 validation images in')
    assert cv2.imread(str(tmp_path / 'data' / 'preview.png')) is not None
    assert run_tool(monkeypatch, *command, '--overwrite') == 0  # the preview is replaced, too


@pytest.mark.parametrize('layout', ['ade20k', 'coco', 'voc'])
def test_tool_in_a_process_of_its_own(layout: str, tmp_path: Path) -> None:
    """In a new process, without other tests' imports: upstream's toolboxes need MMCV's operators."""
    tool = ROOT / 'tools' / 'make_synthetic_dataset.py'
    command = [sys.executable, tool, layout, tmp_path / 'data', '--train', '1', '--val', '1']
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--train', '-5'], 'train must be from 1 to 1000000 images, got -5'),
        (['--val', '0'], 'val must be from 1 to 1000000 images, got 0'),
        (['--size', '100000', '3'], 'size must be .* from 64 to 2048 pixels, got 100000 3'),
        (['--seed', '-1'], 'seed must be 0 or more, got -1'),
    ],
)
def test_tool_says_what_is_wrong_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    command = ['make_synthetic_dataset', 'ade20k', tmp_path / 'data', *arguments]
    assert run_tool(monkeypatch, *command) == 2
    shown = capsys.readouterr()
    assert re.fullmatch(f'make_synthetic_dataset.py: error: {message}\n', shown.err)
    assert shown.out == ''
    assert not (tmp_path / 'data').exists()
