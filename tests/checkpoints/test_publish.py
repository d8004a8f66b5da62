"""A published file holds plain weights, and its name is true."""

import hashlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmcoat.checkpoints import CheckpointError
from mmcoat.checkpoints.fetch import hash_in_name
from mmcoat.checkpoints.publish import publish

TOOL = Path(__file__).parents[2] / 'tools' / 'publish_model.py'


@pytest.fixture
def source(tmp_path) -> str:
    path = tmp_path / 'iter_100.pth'
    buffer = HistoryBuffer()
    buffer.update(1.0)
    big = torch.arange(100_000.0)
    checkpoint = {
        'state_dict': {'backbone.a': torch.nn.Parameter(torch.ones(3)), 'backbone.view': big[:10]},
        'ema_state_dict': {'module.a': torch.ones(3)},
        'optimizer': {'state': {0: {'exp_avg': big}}, 'param_groups': []},
        'message_hub': {'log_scalars': {'loss': buffer}},
        'meta': {
            'epoch': 3,
            'cfg': 'work_dir = "/home/someone/secret"',
            'seed': 7,
            'dataset_meta': {
                'classes': ('wall', 'sky'),
                'palette': [[0, 0, 0], [1, 2, 3]],
                'ignore': np.int64(255),
                'weights': np.ones(2),
                'made_by': buffer,
            },
        },
    }
    torch.save(checkpoint, path)
    return str(path)


def test_publish(tmp_path, source):
    path, dropped = publish(source, tmp_path / 'out' / 'model.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path == tmp_path / 'out' / f'model-{digest[:8]}.pth'
    assert hash_in_name(path.name) == digest[:8]
    assert dropped == ['ema_state_dict', 'optimizer', 'message_hub']
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size < 10_000  # the view left its storage behind
    assert b'secret' not in path.read_bytes()


def test_content_is_plain(tmp_path, source):
    path, _ = publish(source, tmp_path / 'model.pth')
    with torch.serialization.safe_globals([]):
        torch.serialization.clear_safe_globals()  # not even what mmcoat allows is needed
        checkpoint = torch.load(path, weights_only=True)
    assert set(checkpoint) == {'state_dict', 'meta'}
    assert type(checkpoint['state_dict']['backbone.a']) is torch.Tensor
    assert checkpoint['state_dict']['backbone.view'].tolist() == list(range(10))
    meta = checkpoint['meta']
    assert set(meta) == {'epoch', 'dataset_meta', 'mmcoat_version'}
    assert meta['dataset_meta'] == {
        'classes': ('wall', 'sky'),
        'palette': [[0, 0, 0], [1, 2, 3]],
        'ignore': 255,
        'weights': [1.0, 1.0],
    }


def test_same_content_same_name(tmp_path, source):
    first, _ = publish(source, tmp_path / 'a' / 'model.pth')
    second, _ = publish(str(first), tmp_path / 'b' / first.name)
    assert second.name == first.name


def test_does_not_overwrite(tmp_path, source):
    publish(source, tmp_path / 'model.pth')
    with pytest.raises(CheckpointError, match='--force'):
        publish(source, tmp_path / 'model.pth')
    publish(source, tmp_path / 'model.pth', force=True)
    assert not list(tmp_path.glob('.*'))
    with pytest.raises(CheckpointError, match='must end'):
        publish(source, tmp_path / 'model.ckpt')


def test_names(tmp_path, source):
    """An old hash is replaced; a date is not a hash."""
    for name, stem in (('model-1a2b3c4d', 'model'), ('model-20241231', 'model-20241231')):
        path, _ = publish(source, tmp_path / f'{name}.pth')
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        assert path.name == f'{stem}-{digest}.pth'


def test_no_place_to_write(tmp_path, source):
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(CheckpointError, match='cannot write'):
        publish(source, tmp_path / 'file' / 'model.pth')
    assert (tmp_path / 'file').read_text() == 'mine'


def test_tool(tmp_path, source, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), source, str(tmp_path / 'model.pth')])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    output = capsys.readouterr().out
    assert end.value.code == 0
    assert 'optimizer' in output and str(tmp_path / 'model-') in output
