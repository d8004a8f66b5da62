"""The start of a run: bad files are never silently accepted; and the switch that finds the origin of NaN."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmcoat.checkpoints import read_checkpoint
from tests.helpers import run_tool
from tests.runs.common import segmentation_config

pytest.importorskip('mmseg')


@pytest.fixture(scope='module')
def config(tmp_path_factory, ade):
    more = 'val_cfg = val_dataloader = val_evaluator = None\nrandomness = dict(seed=7)\n'
    return segmentation_config(tmp_path_factory.mktemp('configs'), ade, iterations=1, more=more)


@pytest.fixture(scope='module')
def trained(tmp_path_factory, config):
    """The checkpoint of a run with one iteration."""
    folder = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run_tool(monkeypatch, 'train', config, '--work-dir', folder) == 0
    return folder / 'iter_1.pth'


def weights_of(path):
    return dict(read_checkpoint(path)['state_dict'])


def train(monkeypatch, config, work_dir, path, *options):
    settings = ['--cfg-options', f'load_from={path}', *options]
    return run_tool(monkeypatch, 'train', config, '--work-dir', work_dir, *settings)


def quantised(weights):
    return {k: v.to(torch.int8) if v.is_floating_point() else v for k, v in weights.items()}


def not_a_number(weights):
    return weights | {'neck.lateral_convs.0.conv.bias': torch.full((256,), float('nan'))}


def other_arch(weights):
    from mmcoat.models import CoaT

    heads = {k: v for k, v in weights.items() if not k.startswith('backbone.')}
    return heads | {f'backbone.{k}': v for k, v in CoaT('lite_mini').state_dict().items()}


def part(weights):
    return {k: v for k, v in weights.items() if not k.startswith('backbone.stages.3.')}


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda w: {'state_dict': {}}, 'no weights in '),
        (lambda w: {}, 'no weights in '),
        (lambda w: {'ema_state_dict': w}, "only ['ema_state_dict']"),
        (lambda w: {'state_dict': quantised(w)}, 'holds torch.int8'),
        (lambda w: {'state_dict': not_a_number(w)}, 'it holds NaN or infinite values'),
        (lambda w: {'state_dict': {'fc.weight': torch.ones(2, 2)}}, 'nothing in it fits the model'),
        (lambda w: {'state_dict': part(w)}, 'tensors of the backbone do not fit'),
        (
            lambda w: {'state_dict': other_arch(w)},
            "the file seems to hold arch 'lite_mini', the model has arch 'lite_tiny'",
        ),
    ],
    ids=['empty', 'nothing', 'ema', 'int8', 'nan', 'another', 'part', 'arch'],
)
def test_refused(monkeypatch, capfd, tmp_path, config, trained, make, message):
    path = tmp_path / 'file.pth'
    torch.save(make(weights_of(trained)), path)
    assert train(monkeypatch, config, tmp_path / 'run', path) == 2
    error = capfd.readouterr().err
    assert message in error and str(path) in error
    assert 'Traceback' not in error
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_backbone_alone_goes_to_init_cfg(monkeypatch, capfd, tmp_path, config, trained):
    path = tmp_path / 'backbone.pth'
    weights = weights_of(trained)
    torch.save({k.removeprefix('backbone.'): v for k, v in weights.items()}, path)
    assert train(monkeypatch, config, tmp_path / 'run', path) == 2
    # the neck's and the head's names are as they were: this file is a mixture, and its backbone is nowhere
    assert 'tensors of the backbone do not fit' in capfd.readouterr().err
    torch.save({k[9:]: v for k, v in weights.items() if k.startswith('backbone.')}, path)
    assert train(monkeypatch, config, tmp_path / 'run', path) == 2
    assert "model.backbone.init_cfg=dict(type='Pretrained'" in capfd.readouterr().err


def test_other_classes_and_another_neck(monkeypatch, capfd, tmp_path, config, trained):
    """Fine-tuning: one line names the class layer, and a part that the file does not have."""
    path = tmp_path / 'weights.pth'
    weights = weights_of(trained)
    kept = {k: v for k, v in weights.items() if not k.startswith('neck.fpn_convs')}
    torch.save({'state_dict': kept | {'roi_head.fc.weight': torch.ones(2)}}, path)
    options = ['num_classes=151', 'optim_wrapper.optimizer.lr=0.0']
    assert train(monkeypatch, config, tmp_path / 'run', path, *options) == 0
    (line,) = [x for x in capfd.readouterr().out.splitlines() if f'load_from {path}:' in x]
    assert 'new in the model: neck.fpn_convs;' in line
    assert 'decode_head.conv_seg.weight (150, 128, 1, 1) -> (151, 128, 1, 1)' in line
    assert line.endswith('left out of the file: roi_head')
    after = weights_of(tmp_path / 'run' / 'iter_1.pth')
    same = [k for k in kept if k.startswith(('backbone.', 'neck.lateral'))]
    assert len(same) > 100 and all(torch.equal(after[k], weights[k]) for k in same)
    assert not torch.equal(
        after['neck.fpn_convs.0.conv.weight'], weights['neck.fpn_convs.0.conv.weight']
    )


def test_average_starts_from_the_same_weights(monkeypatch, capfd, tmp_path, config, trained):
    """EMAHook copies what was loaded; a file that fits says so and MMEngine warns of nothing."""
    own = tmp_path / 'ema.py'
    own.write_text(f"_base_ = {str(config)!r}\ncustom_hooks = [dict(type='EMAHook')]\n")
    options = ['optim_wrapper.optimizer.lr=0.0']
    assert train(monkeypatch, own, tmp_path / 'run', trained, *options) == 0
    output = capfd.readouterr().out
    assert f'load_from {trained}: every tensor fits' in output
    assert 'do not match exactly' not in output
    saved = read_checkpoint(tmp_path / 'run' / 'iter_1.pth')
    name = 'backbone.stages.0.blocks.0.attn.qkv.weight'
    for found in (saved['state_dict'][name], saved['ema_state_dict'][f'module.{name}']):
        torch.testing.assert_close(found, weights_of(trained)[name])


def test_resume_takes_this_model_only(monkeypatch, capfd, tmp_path, config, trained):
    arguments = [
        'train',
        config,
        '--no-check-data',
        '--work-dir',
        tmp_path / 'run',
        '--resume',
        trained,
    ]
    assert run_tool(monkeypatch, *arguments, '--cfg-options', 'num_classes=7') == 2
    error = capfd.readouterr().err
    assert f'{trained} does not fit the model of this config: 2 of another shape' in error


def test_the_named_file_is_tested(monkeypatch, tmp_path, config, trained):
    """``resume=True`` would load the work dir's last checkpoint over the one that is named."""
    from mmengine.runner import Runner

    weights = weights_of(trained)
    name = 'decode_head.conv_seg.bias'
    torch.save({'state_dict': weights | {name: torch.full((150,), 0.25)}}, tmp_path / 'other.pth')
    (tmp_path / 'last_checkpoint').write_text(str(trained))
    tested = []

    def test(runner):
        runner.load_or_resume()
        tested.append(runner.model.state_dict()[name].clone())

    monkeypatch.setattr(Runner, 'test', test)
    options = ['--cfg-options', 'resume=True', f'load_from={trained}']
    arguments = ['test', config, tmp_path / 'other.pth', '--work-dir', tmp_path, *options]
    assert run_tool(monkeypatch, *arguments) == 0
    assert torch.equal(tested[0], torch.full((150,), 0.25))


SPOILING = """
custom_imports = dict(imports=['tests.runs.test_start'])
custom_hooks = [dict(type='SpoilHook', name={name!r})]
"""


@HOOKS.register_module(force=True)
class SpoilHook(Hook):
    """Set a weight to infinity before the first iteration, or a pixel to NaN."""

    def __init__(self, name):
        self.name = name

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.name == 'image':
            rows = torch.tensor([3])
            spoiled = [x.float().index_fill(1, rows, float('nan')) for x in data_batch['inputs']]
            data_batch['inputs'] = spoiled
            return
        with torch.no_grad():
            dict(runner.model.named_parameters())[self.name].fill_(float('inf'))


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('backbone.stages.1.blocks.0.attn.proj.bias', 'backbone.stages.1.blocks.'),
        ('neck.lateral_convs.2.conv.weight', 'neck.lateral_convs.2.conv (Conv2d) is the first'),
        ('image', 'data_preprocessor (SegDataPreProcessor) is the first module'),
    ],
)
def test_debug_nan(monkeypatch, capfd, tmp_path, config, name, message):
    own = tmp_path / 'spoiled.py'
    own.write_text(f'_base_ = {str(config)!r}' + SPOILING.format(name=name))
    assert run_tool(monkeypatch, 'train', own, '--work-dir', tmp_path / 'run', '--debug-nan') == 2
    error = capfd.readouterr().err
    assert message in error and 'iteration 1, batch: /' in error
    assert ('weights not finite' in error) == (name != 'image')


def test_debug_nan_lets_a_sound_run_pass(monkeypatch, tmp_path, config, trained):
    """And changes nothing."""
    arguments = ['train', config, '--work-dir', tmp_path / 'run', '--debug-nan']
    assert run_tool(monkeypatch, *arguments) == 0
    after, before = weights_of(tmp_path / 'run' / 'iter_1.pth'), weights_of(trained)
    assert all(torch.equal(after[name], before[name]) for name in before)
