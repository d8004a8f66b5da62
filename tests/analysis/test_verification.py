"""A checkpoint against published numbers: fabricated ones, on drawn data."""

import json
import urllib.error
import urllib.request

import pytest
import yaml

from mmcoat import checkpoints, runs
from mmcoat.analysis import confusion, predictions, verification
from tests.analysis.common import SMALL, answer_the_truth, detector, save_random
from tests.helpers import run_tool
from tests.own.common import draw, segmentation_config

pytest.importorskip('mmseg')
TOOL = 'verify_checkpoint'


def metafile(folder, config, dataset='mine', **numbers):
    """Write a metafile that claims numbers for a config."""
    results = [dict(Task='any', Dataset=dataset, Metrics=numbers)]
    model = dict(Name='claimed', Config=f'configs/{config.name}', Results=results)
    path = folder / 'metafile.yml'
    path.write_text(yaml.safe_dump(dict(Models=[model])))
    return path


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp('verification')
    path = segmentation_config(folder / 'mine.py', folder / 'nowhere')
    draw(folder / 'data')
    cfg = runs.load_config(str(path), dict(data_root=str(folder / 'data')))
    weights = save_random(cfg, folder / 'weights.pth')
    found = confusion.measure(predictions.Predictions(cfg, str(weights), device='cpu'))
    return folder, path, weights, found.summary()['mIoU']


@pytest.mark.parametrize('shift, options, status', [(0, [], 0), (1, [], 1), (1, [1.1], 0)])
def test_a_segmentor(monkeypatch, capsys, work, tmp_path, shift, options, status):
    folder, path, weights, miou = work
    claimed = metafile(tmp_path, path, mIoU=miou + shift)
    arguments = [TOOL, path, weights, '--data-root', folder / 'data', '--metafile', claimed]
    arguments += ['--work-dir', tmp_path / 'run', '--json', tmp_path / 'out.json']
    arguments += [f'--tolerance={value}' for value in options]
    assert run_tool(monkeypatch, *arguments) == status
    shown = capsys.readouterr().out
    assert 'claimed on 2 images' in shown
    row = next(line.split('│') for line in shown.splitlines() if '│ mIoU' in line)
    numbers = [cell.strip() for cell in row[2:6]]
    assert numbers[0] == f'{round(miou, 2):.2f}' and numbers[1] == f'{miou + shift:g}'
    assert numbers[3] == ('agrees', 'differs')[status]
    (written,) = json.loads((tmp_path / 'out.json').read_text())['metrics']
    assert written['difference'] == pytest.approx(-shift, abs=0.0051)


@pytest.mark.parametrize('claimed, status', [(99.9, 0), (99.8, 1)])
def test_a_detector_with_fabricated_answers(monkeypatch, capsys, tmp_path, claimed, status):
    """One that finds everything: COCO's metric says 1.0, the table 100 percent."""
    pytest.importorskip('mmdet')
    path, weights = detector(tmp_path)
    answer_the_truth(monkeypatch)
    file = metafile(tmp_path, path, 'COCO', **{'box AP': claimed, 'unheard of': 3})
    arguments = [TOOL, path, weights, '--metafile', file]
    arguments += ['--work-dir', tmp_path / 'run', '--data-root', tmp_path / 'coco']
    arguments += ['--cfg-options', f'{SMALL}=(96,64)', 'test_evaluator.metric=bbox']
    arguments += ['test_dataloader.num_workers=0']
    assert run_tool(monkeypatch, *arguments) == status
    shown = capsys.readouterr()
    row = next(line for line in shown.out.splitlines() if '│ box AP' in line)
    assert row.replace('│', ' ').split()[2:4] == ['100.00', str(claimed)]
    assert '4 images were tested, results on COCO are of 5000' in shown.err


def test_every_published_file_has_its_numbers():
    """Names lead to the config and the numbers of the metafiles; Detectron2's have none."""
    for entry in checkpoints.list():
        if entry.task == 'detectron2':
            with pytest.raises(verification.VerificationError, match='is a file of Detectron2'):
                verification.find_claim(entry.name, None)
            continue
        claim = verification.find_claim(entry.name, None)
        assert claim.checkpoint == entry.url
        first = 'Top 1 Accuracy' if entry.task == 'classification' else 'box AP'
        assert 35 < claim.numbers[first] < 90
        assert ('mask AP' in claim.numbers) == (entry.task == 'instance_segmentation')
        assert claim.dataset in verification.SIZES
    mine = verification.find_claim('mask_rcnn_coat_s_1x_coco', 'mine.pth')
    assert (mine.checkpoint, mine.numbers) == ('mine.pth', {'box AP': 46.5, 'mask AP': 41.8})


def test_compare():
    measured = {'coco/bbox_mAP': 0.464, 'coco/segm_mAP': float('nan')}
    rows = verification.compare(measured, {'box AP': 46.5, 'mask AP': 41.8})
    assert [row.agrees for row in rows] == [True, False]
    assert rows[0].difference == pytest.approx(-0.1)
    assert not verification.compare(measured, {'box AP': 46.6})[0].agrees
    with pytest.raises(verification.VerificationError, match='gives no accuracy/top1 for Top 1'):
        verification.compare(measured, {'Top 1 Accuracy': 80.0})


def test_weights_that_cannot_be_had(monkeypatch, capsys, work, tmp_path):
    folder, path, *_ = work

    def refuse(*_, **__):
        raise urllib.error.URLError('no network')

    monkeypatch.setattr(urllib.request, 'urlopen', refuse)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    url = 'https://example.org/weights-12345678.pth'
    file = metafile(tmp_path, path, mIoU=1.0)
    arguments = [TOOL, path, url, '--metafile', file, '--data-root', folder / 'data']
    assert run_tool(monkeypatch, *arguments, '--work-dir', tmp_path / 'run') == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('verify_checkpoint.py: error:') and 'no network' in error


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['{mine}', '{weights}'],
            'nothing is published for mine.py; there is for coat_lite_t_in1k',
        ),
        (['{mine}', 'auto', '--metafile', '{file}'], 'claimed names no weights: give a checkpoint'),
        (['{mine}', '{weights}', '--metafile', '{file}'], 'nowhere does not exist'),
        (['{mine}', 'no.pth', '--metafile', '{file}'], 'checkpoint no.pth does not exist'),
        (['{mine}', 'x', '--metafile', '{mine}'], 'must have Models with Name, Config and Results'),
        (['{mine}', 'x', '--metafile', 'no.yml'], '--metafile no.yml: No such file'),
        (['coat_huge', 'x'], 'coat_huge is neither a config file'),
        (['{mine}', 'x', '--tolerance', '-1'], '--tolerance must be 0 or more'),
        (['coat_lite_small', 'auto', '--data-root', 'no'], 'folder no does not exist'),
    ],
)
def test_errors(monkeypatch, capsys, work, tmp_path, arguments, message):
    file = metafile(tmp_path, work[1], mIoU=1.0)
    names = dict(mine=work[1], weights=work[2], file=file)
    monkeypatch.chdir(tmp_path)
    assert run_tool(monkeypatch, TOOL, *(a.format(**names) for a in arguments)) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
