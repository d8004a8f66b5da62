"""The segmentation benchmark: budgets, equality, report, and a real run of one config with one seed."""

import json

import pytest
from mmengine.config import Config

pytest.importorskip('mmseg')
pytest.importorskip('matplotlib')
from benchmarks.segmentation import jobs
from benchmarks.segmentation.contender import Contender
from benchmarks.segmentation.costs import Costs, build
from benchmarks.segmentation.equality import compare
from benchmarks.segmentation.plan import Plan, common_config, within
from benchmarks.segmentation.report import spread, write_report
from mmcoat.datasets.synthetic import make_ade20k
from tests.helpers import ROOT, run_tool

CONFIG = ROOT / 'configs' / 'fpn_coat_lite_t_ade20k.py'
RIVAL = ROOT / 'configs' / 'rivals' / 'fpn_swin_tiny_ade20k.py'


def plan(tmp_path, *paths, **settings):
    configs = {path.stem: path for path in paths}
    settings = dict(seeds=1, init='scratch', validations=2) | settings
    return Plan(configs, str(tmp_path / 'data'), out=tmp_path / 'out', **settings)


def contender(plan_, name, iterations=100, scores=((50, 40), (52, 41))):
    cfg = within(common_config(plan_, name), iterations, 0, plan_.validations)
    found = [{'mIoU': m - 10, 'mIoU_present': m, 'mBF1': b, 'IoU/sky': m + 5} for m, b in scores]
    curves = [[(50, 20.0), (100, m)] for m, _ in scores]
    costs = Costs((64, 64), 9_000_000, 5_000_000, 10**9, 12.0, (11.0, 13.0), 2**20)
    return Contender(name, cfg, iterations, found, curves, [3.0] * len(scores), costs)


def test_schedules_keep_their_shape(tmp_path):
    p = plan(tmp_path, ROOT / 'configs' / 'upernet_coat_lite_t_ade20k.py')
    cfg = common_config(p, 'upernet_coat_lite_t_ade20k')
    short = within(cfg, 1600, 3, 4)
    warm_up, fall = short.param_scheduler
    assert (warm_up.begin, warm_up.end, fall.begin, fall.end) == (0, 15, 15, 1600)
    assert short.train_cfg.max_iters == 1600 and short.train_cfg.val_interval == 400
    assert short.default_hooks.checkpoint.interval == 400 and short.randomness.seed == 3
    assert [s.type for s in within(cfg, 100, 0, 4).param_scheduler] == ['PolyLR']
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 160000  # as it was
    assert cfg.default_hooks.checkpoint.interval == 16000
    assert cfg.model.backbone.init_cfg is None
    assert jobs.iterations_for(2, 0.5) == 240
    assert jobs.iterations_for(0.001, 9.0) == 1


def test_pretrained_keeps_weights(tmp_path):
    cfg = common_config(plan(tmp_path, CONFIG, init='pretrained'), CONFIG.stem)
    build(cfg)
    assert cfg.model.backbone.init_cfg.checkpoint.endswith('.pth')  # still, after it was measured


def test_equality_names_what_differs(tmp_path):
    p = plan(tmp_path, CONFIG, RIVAL)
    pair = [contender(p, name) for name in p.configs]
    _, different = compare(pair)
    assert 'model.neck.in_channels' in different
    others = {k for k in different if 'position_bias' not in k and 'pos_embed' not in k}
    assert others == {'model.neck.in_channels'}
    pair[1].cfg.optim_wrapper.optimizer.lr = 1.0
    equal, different = compare(pair)
    assert different['optim_wrapper.optimizer.lr'] == [1e-4, 1.0]
    assert equal['optim_wrapper.optimizer.type'] == 'AdamW'


def test_report(tmp_path):
    p = plan(tmp_path, CONFIG, RIVAL, seeds=2)
    pair = [contender(p, CONFIG.stem), contender(p, RIVAL.stem, scores=((60, 30), (60, 30)))]
    place = dict(
        command='x', cpu='a processor', threads=1, cores=2, torch='2', mmcoat='1', date='now'
    )
    report, *pictures = write_report(p, pair, place)
    text = report.read_text()
    assert f'| {CONFIG.stem} | 9.00 | 5.00 | 1.00 (64 x 64) | 12.0 | 1 | 100 | 3.0 |' in text
    assert '| 51.00 ± 1.41 | 40.50 ± 0.71 |' in text
    assert '| sky | 56.00 ± 1.41 | 65.00 ± 0.00 |' in text
    assert 'no config had pretrained weights' in text and '`model.neck.in_channels`' in text
    assert {path.name for path in pictures} == {
        'score_latency.png', 'score_flops.png', 'learning_curves.png'
    }  # fmt: skip
    assert all(path.stat().st_size > 5000 for path in pictures)
    assert spread([3.0]) == '3.00'


def test_logs_of_a_resumed_run(tmp_path):
    for stamp, step in (('20260101', 10), ('20260102', 20)):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text(json.dumps(dict(step=step, mIoU=1.0)) + '\n')
    folder = tmp_path / 'test' / '20260103' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{}\n')
    assert [row['step'] for row in jobs.log_rows(tmp_path)] == [10, 20]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--seeds', 0], '--seeds must be at least 1'),
        (['--budget', 'minutes'], 'needs --amount'),
        (['--amount', -1], '--amount must be above 0'),
        (['--report-only'], 'no finished run'),
    ],
)
def test_errors(monkeypatch, tmp_path, capsys, arguments, message):
    make_ade20k(tmp_path / 'data', train=1, val=1, size=(64, 64))
    wanted = ['--configs', CONFIG, '--data-root', tmp_path / 'data', '--out', tmp_path / 'out']
    wanted += ['--repeats', 1, *arguments]
    assert run_tool(monkeypatch, 'benchmark_segmentation', *wanted) == 2
    assert message in capsys.readouterr().err


def test_trains_tests_and_reports(monkeypatch, tmp_path, capsys):
    make_ade20k(tmp_path / 'data', train=2, val=1, size=(64, 64))
    loader = ['batch_size=2', 'num_workers=0', 'persistent_workers=False']
    options = ['crop_size=64,64', *(f'train_dataloader.{o}' for o in loader)]
    options += [f'{n}_dataloader.{o}' for n in ('val', 'test') for o in loader[1:]]
    options += [f'{n}_dataloader.dataset.pipeline.1.scale=(128,64)' for n in ('val', 'test')]
    options += ['train_dataloader.dataset.pipeline.2.scale=(128,64)']
    arguments = ['--configs', CONFIG, '--data-root', tmp_path / 'data', '--out', tmp_path / 'out']
    arguments += ['--seeds', 1, '--amount', 2, '--init', 'scratch', '--repeats', 1]
    arguments += ['--validations', 1, '--cfg-options', *options]
    assert run_tool(monkeypatch, 'benchmark_segmentation', *arguments) == 0
    (found,) = json.loads((tmp_path / 'out' / 'results.json').read_text())['contenders']
    assert found['iterations'] == 2 and 'mBF1' in found['scores'][0]
    assert found['curves'][0][0][0] == 2 and found['costs']['macs'] > 1e8
    assert (tmp_path / 'out' / 'report.md').is_file()
    # nothing is done again
    monkeypatch.setattr(jobs, 'call', lambda *_: pytest.fail('a finished run was started again'))
    assert run_tool(monkeypatch, 'benchmark_segmentation', *arguments) == 0


def test_a_failing_run_is_one_line(tmp_path):
    (tmp_path / 'train.log').touch()
    with pytest.raises(ValueError, match=r'train\.py failed with 2: .*config nowhere'):
        jobs.call('train', ['nowhere'], tmp_path)


def test_configs_of_other_kinds_are_refused(tmp_path):
    detector = ROOT / 'configs' / 'mask_rcnn_coat_s_1x_coco.py'
    with pytest.raises(ValueError, match='by iterations'):
        common_config(plan(tmp_path, detector), detector.stem)
    cfg = Config(dict(train_cfg=dict(max_iters=5), param_scheduler=dict(type='PolyLR')))
    with pytest.raises(ValueError, match='by epochs'):
        within(cfg, 2, 0, 1)
