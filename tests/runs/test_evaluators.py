"""An evaluator reads annotations of its own: those of other images are found before the run begins."""

import json
import shutil

import pytest

from mmcoat.errors import UsageError
from mmcoat.runs import load_config
from mmcoat.runs.evaluators import check_evaluators
from tests.helpers import run_tool
from tests.runs.common import detection_config

pytest.importorskip('mmdet')


@pytest.fixture
def own(coco, tmp_path):
    """Return a data set, and the config of its training."""
    data = shutil.copytree(coco, tmp_path / 'coco')
    return data, detection_config(tmp_path, data, iterations=1)


def other_file(data, change):
    """Write the annotations of the validation's images once more, with a change to the images' entries."""
    path = data / 'annotations' / 'instances_val2017.json'
    content = json.loads(path.read_text())
    content['images'] = [
        dict(entry, **change(n, entry)) for n, entry in enumerate(content['images'])
    ]
    path.with_name('other.json').write_text(json.dumps(content))
    return path.with_name('other.json')


def check(config, path, splits=('train', 'val', 'test'), **more):
    cfg = load_config(str(config))
    cfg.val_evaluator.ann_file = str(path)
    cfg.merge_from_dict(more)
    check_evaluators(cfg, splits)


def test_the_same_images(own):
    data, config = own
    check(config, data / 'annotations' / '..' / 'annotations' / 'instances_val2017.json')
    check(
        config, other_file(data, lambda n, entry: dict(file_name=f'val2017/{entry["file_name"]}'))
    )
    check(config, other_file(data, lambda n, entry: {}))


def test_other_images_of_the_same_numbers(own):
    """MMDetection evaluates this without a word: COCO's numbers are all that it compares."""
    data, config = own
    path = other_file(data, lambda n, entry: dict(file_name=f'other_{n}.jpg'))
    with pytest.raises(UsageError, match=r'image \d+ is \d+\.jpg there, other_0\.jpg in this file'):
        check(config, path)
    check(config, path, splits=('train', 'test'))
    check(config, path, **{'val_evaluator.type': 'DumpDetResults'})


def test_other_numbers_and_more_images(own):
    data, config = own
    path = other_file(data, lambda n, entry: dict(id=9000 + n))
    with pytest.raises(UsageError, match=r'image \d+ is \S+ there, none in this file'):
        check(config, path)
    content = json.loads(path.read_text())
    val = json.loads((data / 'annotations' / 'instances_val2017.json').read_text())
    content['images'] += val['images']
    path.write_text(json.dumps(content))
    count = len(val['images'])
    with pytest.raises(
        UsageError, match=f'{count} are only in this file, such as image 9000, and would'
    ):
        check(config, path)


def test_several_data_sets_in_one_file(own):
    data, config = own
    both = [
        json.loads(p.read_text()) for p in sorted((data / 'annotations').glob('instances_*.json'))
    ]
    for number, content in enumerate(both):
        for entry in content['images']:
            entry['id'] += 10_000 * number
        (data / f'{number}.json').write_text(json.dumps(content))
    images = [entry for content in both for entry in content['images']]
    (data / 'both.json').write_text(json.dumps(dict(images=images)))
    inner = load_config(str(config)).val_dataloader.dataset.to_dict()
    sets = [dict(inner, ann_file=f'{number}.json') for number in range(2)]
    concat = dict(_delete_=True, type='ConcatDataset', datasets=sets)
    more = {'val_dataloader.dataset': concat}
    check(config, data / 'both.json', **more)
    with pytest.raises(UsageError, match='none in this file'):
        check(config, data / '0.json', **more)


def test_no_annotations(own):
    data, config = own
    with pytest.raises(UsageError, match=r'val_evaluator\.ann_file \S+none\.json does not exist'):
        check(config, data / 'none.json')
    (data / 'broken.json').write_text('{')
    with pytest.raises(UsageError, match='is no COCO annotation file'):
        check(config, data / 'broken.json')


def test_the_data_set_has_no_annotations(own):
    """This is said elsewhere."""
    data, config = own
    path = other_file(data, lambda n, entry: dict(id=9000 + n))
    check(config, path, **{'val_dataloader.dataset.ann_file': 'none.json'})


def test_a_training_does_not_begin(own, monkeypatch, capfd, tmp_path):
    data, base = own
    path = other_file(data, lambda n, entry: dict(file_name=f'other_{n}.jpg'))
    config = tmp_path / 'other.py'
    config.write_text(f'_base_ = {str(base)!r}\nval_evaluator = dict(ann_file={str(path)!r})\n')
    assert run_tool(monkeypatch, 'train', config, '--work-dir', tmp_path / 'run') == 2
    captured = capfd.readouterr()
    assert "set it to the data set's own file" in captured.err.strip().splitlines()[-1]
    assert 'Traceback' not in captured.err and not list(tmp_path.glob('run/*.pth'))
