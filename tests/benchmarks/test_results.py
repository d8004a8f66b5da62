"""Cases, presets, the results file, tables and pictures."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from benchmarks import contenders, environment, presets
from benchmarks.bench import Benchmark, Options
from benchmarks.cases import Case, parse_size
from benchmarks.plots import draw
from benchmarks.results import Results, Row, merge
from benchmarks.steps import Step
from benchmarks.table import growth, measured, ratios, report
from benchmarks.timing import Timing
from mmcoat import CoaT
from mmcoat.errors import UsageError
from tests.helpers import run_tool

from .common import CASE, CPU, GRID, measure, options


def test_sizes():
    assert parse_size('512') == ((512, 512), (1,))
    assert parse_size('800x1344@1,2') == ((800, 1344), (1, 2))
    for wrong in ('0', '512x', 'x512', '512@', '512@0', 'large'):
        with pytest.raises(UsageError, match='a size is'):
            parse_size(wrong)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(archs=('huge',)), 'arch must be one of'),
        (dict(dtypes=('fp8',)), 'dtype must be one of'),
        (dict(modes=('trian',)), 'mode must be one of'),
        (dict(sizes=('16x64',)), 'at least 32'),
        (dict(sizes=('64@0',)), 'a size is'),
        (dict(contenders=('tim',)), 'contender must be one of'),
    ],
)
def test_wrong_grids(change, message):
    with pytest.raises(UsageError, match=message):
        contenders.plan([replace(GRID, **change)])


def test_presets_are_what_was_asked_for():
    for preset in presets.PRESETS.values():
        for grid in preset.grids:
            standard = contenders.standard_contenders(grid.model, 'cuda', official=True)
            found = contenders.plan([replace(grid, contenders=grid.contenders or standard)])
            assert all(found.values())
    gpu = {case for grid in presets.PRESETS['gpu'].grids for case in grid.cases()}
    for arch in ('lite_tiny', 'lite_mini', 'lite_small', 'lite_medium', 'tiny', 'mini', 'small'):
        for mode in ('inference', 'train'):
            assert Case(arch, (512, 512), 16, 'bf16', mode) in gpu
    assert Case('small', (1024, 2048), 1, 'bf16', 'train') in gpu
    assert Case('lite_small', (512, 512), 2, 'bf16', 'train', 'upernet') in gpu


def row(contender: str, seconds: float, peak: int, **case) -> Row:
    found = Row(**asdict(replace(CASE, **case)), contender=contender, peak_bytes=peak)
    found.time(Timing(samples=[seconds] * 3))
    return found


def unmeasured(contender: str, status: str, reason: str = '') -> Row:
    return Row(**asdict(CASE), contender=contender, status=status, reason=reason)


def test_ratios():
    results = Results({}, [row('default', 1.0, 30), row('timm', 1.5, 50)])
    results.rows += [row('default', 0.5, 20, dtype='bf16'), unmeasured('swin', 'failed')]
    bf16, fp32 = ratios(measured(results)).to_dict('records')
    assert fp32['default / timm'] == 1.5
    assert fp32['memory default / timm'] == 0.6
    assert 'default / swin' not in fp32
    assert bf16['bf16 / fp32'] == 2.0
    assert fp32['bf16 / fp32'] != fp32['bf16 / fp32']  # nan


def test_growth_per_pixel():
    sizes = {(256, 256): (0.1, 10), (512, 512): (1.0, 100), (1024, 1024): (4.4, 300)}
    rows = [row('default', *value, size=size) for size, value in sizes.items()]
    found = growth(measured(Results({}, rows))).set_index('size')
    assert list(found.index) == ['512', '1024']  # nothing below the base
    assert found.loc['1024', 'time / pixel'] == pytest.approx(1.1)
    assert found.loc['1024', 'memory / pixel'] == pytest.approx(0.75)


def test_results_file(tmp_path):
    grid = replace(GRID, dtypes=('fp32', 'bf16'), contenders=('default', 'fused'))
    measure(tmp_path, grid)
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['schema'] == 'mmcoat-benchmark/1'
    environment = content['environment']
    assert {'date', 'command', 'torch', 'cpu', 'threads', 'allocator'} <= environment.keys()
    assert environment['threads'] == 1
    assert len(content['rows']) == 4
    ok = [r for r in content['rows'] if r['status'] == 'ok']
    for entry in ok:
        assert len(entry['samples']) == 2
        assert entry['lower_quartile'] <= entry['median'] <= entry['upper_quartile']
        assert entry['images_per_second'] == pytest.approx(1 / entry['median'])
        assert entry['parameters'] == sum(p.numel() for p in CoaT('lite_tiny').parameters())
        assert entry['weight_bytes'] >= 4 * entry['parameters']
    assert len(ok) == 2
    read = Results.read(tmp_path / 'results.json')
    assert json.loads(json.dumps([asdict(r) for r in read.rows])) == content['rows']


def test_runs_are_put_together():
    environment = dict(command='a', cpu='x', threads=1)
    one = Results(environment, [row('default', 1.0, 1), row('timm', 1.0, 1)])
    two = Results(environment | dict(command='b'), [row('default', 2.0, 1), row('swin', 1.0, 1)])
    both = merge([one, two])
    assert {r.contender: r.median for r in both.rows} == dict(default=2.0, timm=1.0, swin=1.0)
    assert both.environment['command'] == 'a; b'
    two.environment['threads'] = 2
    with pytest.raises(UsageError, match='threads'):
        merge([one, two])


def test_other_files_are_refused(tmp_path):
    for number, text in enumerate(['', '[]', '{"schema": "other/1"}']):
        path = tmp_path / f'{number}.json'
        path.write_text(text)
        with pytest.raises(UsageError):
            Results.read(path)
    with pytest.raises(UsageError, match='cannot be read'):
        Results.read(tmp_path / 'none.json')


def test_an_interrupted_run_keeps_its_results(tmp_path, own_family):
    def interrupt(case, official):
        if case.mode == 'train':
            raise KeyboardInterrupt
        return contenders.build_coat(arch=case.arch)

    own_family('interrupt', interrupt)
    grid = replace(GRID, modes=('inference', 'train'), contenders=('interrupt',))
    _, said = measure(tmp_path, grid)
    results = Results.read(tmp_path / 'results.json')
    assert [r.status for r in results.rows] == ['ok']
    assert results.environment['interrupted']
    assert any('interrupted' in line for line in said)


def test_step_of_a_batch(tmp_path):
    """A training step leaves no gradients behind."""
    model = CoaT('lite_tiny')
    step = Step(model, replace(CASE, batch=2, mode='train'), CPU)
    outcome = step.first()
    assert outcome.gradient_norm > 0
    assert [m.shape[0] for m in outcome.maps] == [2] * 4
    step()
    assert all(p.grad is None for p in model.parameters())


def test_tool(monkeypatch, tmp_path, capsys):
    arguments = ['--archs', 'lite_tiny', '--sizes', '64', '96', '--contenders', 'default', 'fused']
    arguments += ['--threads', '1', '--repeats', '1', '--warmup', '1', '--out', tmp_path]
    assert run_tool(monkeypatch, 'benchmark', *arguments, '--device', 'cpu') == 0
    out = capsys.readouterr().out
    assert 'allocator:' in out
    assert 'Not measured:' in out
    assert 'Growth:' in out
    table = (tmp_path / 'table.md').read_text()
    assert '| backbone | lite_tiny | 96 | 1 | fp32 | inference | default |' in table
    pictures = sorted(path.name for path in tmp_path.glob('*.png'))
    assert pictures == [
        'latency_backbone_inference_fp32_batch1.png',
        'memory_backbone_inference_fp32_batch1.png',
    ]
    for path in tmp_path.glob('*.png'):
        path.unlink()
    file, other = tmp_path / 'results.json', tmp_path / 'other.json'
    other.write_text(file.read_text())
    assert run_tool(monkeypatch, 'benchmark', '--plot-only', file) == 0
    assert sorted(path.name for path in tmp_path.glob('*.png')) == pictures
    together = ['--plot-only', file, other, '--out', tmp_path / 'both']
    assert run_tool(monkeypatch, 'benchmark', *together) == 0
    assert len(Results.read(tmp_path / 'both' / 'results.json').rows) == 4
    assert run_tool(monkeypatch, 'benchmark', *together[:3]) == 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--archs', 'huge'], 'arch must be one of'),
        (['--sizes', 'big'], 'a size is'),
        (['--device', 'foo'], 'device must be'),
        (['--contenders', 'tim'], 'contender must be one of'),
        (['--repeats', '0'], '--repeats must be positive'),
        (['--whole-models', 'detr'], '--whole-models must be some of'),
        (['--plot-only', 'none.json'], 'cannot be read'),
    ],
)
def test_tool_errors(arguments, message, monkeypatch, capsys):
    assert run_tool(monkeypatch, 'benchmark', *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_report_has_ratios():
    environment = dict(
        date='', cpu='a CPU', device='cpu', threads=1, cores=2, torch='2', packages={}
    )
    environment |= dict(allocator='malloc', command='benchmark.py')
    rows = [row('default', 1.0, 30), row('timm', 1.5, 50), row('swin', 2.0, 50)]
    text = report(Results(environment, rows))
    assert 'default / timm' in text
    assert text.splitlines()[-1].split()[-3:] == ['1.50', '2.00', '0.60']


@pytest.mark.parametrize('rows', [[], [unmeasured('timm', 'unavailable', 'not here')]])
def test_report_of_nothing(rows, tmp_path):
    environment = dict(date='', cpu='a CPU', device='cpu', threads=1, cores=2, torch='2')
    environment |= dict(packages={}, allocator='malloc', command='benchmark.py')
    results = Results(environment, rows)
    assert ('not here' in report(results)) == bool(rows)
    assert draw(results, tmp_path) == []


def test_a_gpu_without_a_number_is_the_first(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch._C, '_cuda_setDevice', chosen.append, raising=False)
    monkeypatch.setattr(environment, 'describe', lambda device: {})
    Benchmark(Options({}, torch.device('cuda')), print)
    assert chosen == [0]


def test_overlapping_grids_measure_a_case_once(tmp_path):
    grids = GRID, replace(GRID, sizes=('64', '32'))
    results = Benchmark(options(tmp_path, *grids), lambda _: None).run()
    assert [r.size for r in results.rows] == [(64, 64), (32, 32)]
