"""The real Runner on generated data, through the command-line tools."""

import pytest
import torch

from mmcoat.checkpoints import read_checkpoint
from mmcoat.datasets.synthetic import make_ade20k
from tests.helpers import ROOT, run_tool

pytest.importorskip('mmseg')
CONFIG = ROOT / 'configs' / 'fpn_coat_lite_s_ade20k.py'


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('ade')
    make_ade20k(root, train=4, val=2, size=(80, 64), seed=3, overwrite=True)
    return root


@pytest.fixture(scope='module')
def small_config(tmp_path_factory, data_root):
    """A user's config: inherits from ours, with own data, crop size and schedule."""
    path = tmp_path_factory.mktemp('configs') / 'mine.py'
    path.write_text(f"""
_base_ = {str(CONFIG)!r}
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(arch='lite_tiny', init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 320]),
)
loaders = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = loaders
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
""")
    return path


def options(data_root, *more):
    """Own data, and image sizes to match: of short side 64, where the config says 512."""
    return [
        '--cfg-options',
        f'data_root={data_root}',
        'train_dataloader.dataset.pipeline.2.scale=(256,64)',
        'train_dataloader.dataset.pipeline.3.crop_size=(64,64)',
        'val_dataloader.dataset.pipeline.1.scale=(256,64)',
        'test_dataloader.dataset.pipeline.1.scale=(256,64)',
        *more,
    ]


def test_train_resume_test_browse(monkeypatch, tmp_path, data_root, small_config, caplog):
    work_dir = tmp_path / 'run'
    train = ['train', small_config, '--work-dir', work_dir, '--auto-scale-lr']
    assert run_tool(monkeypatch, *train, *options(data_root)) == 0
    first = work_dir / 'iter_2.pth'
    assert first.is_file()
    saved = read_checkpoint(first)
    assert saved['meta']['iter'] == 2
    # base batch 16, here 2: the learning rate is an eighth
    rates = {group['initial_lr'] for group in saved['optimizer']['param_groups']}
    assert rates == {1e-4 / 8}

    # go on where it stopped
    status = run_tool(monkeypatch, *train, '--resume', *options(data_root, 'train_cfg.max_iters=3'))
    assert status == 0
    resumed = read_checkpoint(work_dir / 'iter_3.pth')
    assert resumed['meta']['iter'] == 3
    key = 'backbone.stages.0.blocks.0.attn.qkv.weight'
    assert not torch.equal(resumed['state_dict'][key], saved['state_dict'][key])

    # evaluate, keep the predictions, draw them
    out, pictures = tmp_path / 'out', tmp_path / 'pictures'
    arguments = ['test', small_config, first, '--work-dir', work_dir, '--out', out]
    arguments += ['--show-dir', pictures, *options(data_root)]
    assert run_tool(monkeypatch, *arguments) == 0
    assert len(list(out.glob('*.png'))) == 2
    assert len(list(pictures.rglob('*.png'))) == 2

    # test-time augmentation, with views as small as 32 pixels
    arguments = ['test', small_config, first, '--work-dir', work_dir, '--tta']
    assert run_tool(monkeypatch, *arguments, *options(data_root)) == 0

    browsed = tmp_path / 'browse'
    status = run_tool(
        monkeypatch,
        'browse_dataset',
        small_config,
        '--output-dir',
        browsed,
        '--number',
        3,
        *options(data_root),
    )
    assert status == 0
    assert len(list(browsed.glob('*.png'))) == 3


def test_wrong_checkpoints_are_refused(monkeypatch, tmp_path, data_root, small_config, capsys):
    other = tmp_path / 'other.pth'
    torch.save({'state_dict': {'backbone.stages.0.cls_token': torch.zeros(1, 1, 64)}}, other)
    arguments = ['test', small_config, other, '--work-dir', tmp_path, *options(data_root)]
    assert run_tool(monkeypatch, *arguments) == 2
    assert 'does not fit the model of this config' in capsys.readouterr().err
    assert (
        run_tool(monkeypatch, 'test', small_config, tmp_path / 'no.pth', *options(data_root)) == 2
    )
    assert 'does not exist' in capsys.readouterr().err


def test_compile(monkeypatch, tmp_path, data_root, small_config):
    """Dynamo traces the backbone, in training and test; Inductor would take minutes."""
    graphs = []

    def keep(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, 'compile', lambda m: compile_module(m, backend=keep))
    train = ['train', small_config, '--work-dir', tmp_path, '--compile']
    short = options(data_root, 'train_cfg.max_iters=1', 'train_cfg.val_interval=2')
    assert run_tool(monkeypatch, *train, *short) == 0
    assert graphs
    saved = read_checkpoint(tmp_path / 'iter_1.pth')['state_dict']
    assert 'backbone.stages.0.blocks.0.attn.qkv.weight' in saved  # names as without --compile
    torch._dynamo.reset()
    graphs.clear()
    test = ['test', small_config, tmp_path / 'iter_1.pth', '--work-dir', tmp_path, '--compile']
    assert run_tool(monkeypatch, *test, *options(data_root)) == 0
    assert graphs
    torch._dynamo.reset()


def test_profile_training(monkeypatch, tmp_path, data_root, small_config, capsys):
    arguments = ['profile_training', small_config, '--iterations', 2, '--warmup', 1]
    arguments += ['--work-dir', tmp_path, *options(data_root)]
    assert run_tool(monkeypatch, *arguments) == 0
    table = capsys.readouterr().out.splitlines()[-8:]
    assert 'median of 2 iterations' in table[0]
    values = {line[:16].strip(): float(line[16:25]) for line in table[1:]}
    parts = ['data loading', 'preprocessing', 'backbone', 'neck and heads', 'backward', 'optimizer']
    assert list(values) == [*parts, 'sum']
    assert all(values[part] > 0 for part in parts)
    assert values['backbone'] > values['preprocessing']
    assert abs(sum(values[part] for part in parts) - values['sum']) < 1
    assert not list(tmp_path.rglob('*.pth'))
    assert run_tool(monkeypatch, *arguments, '--iterations', 0) == 2
    assert '--iterations must be at least 1' in capsys.readouterr().err
