"""Reading is safe: no code of a file runs, but the other contents of training checkpoints are still read."""

import argparse
import io
import os
import pickle
import tarfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmcoat.checkpoints import (
    CheckpointError,
    ensure_safe,
    find_state_dict,
    read_checkpoint,
)
from mmcoat.checkpoints.safety import allow_safe_globals

FORMATS = [True, False]  # zip, and PyTorch's older one


class Bomb:
    """Pickled, it is a call of ``os.mkdir``."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Stranger:
    """A class of the user's own."""


def save(path, content, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize('zipped', FORMATS)
@pytest.mark.parametrize('ending', ['.pth', '.pt', '.pkl', ''])
def test_code_does_not_run(tmp_path, zipped, ending):
    fuse = tmp_path / 'fuse'
    path = save(tmp_path / f'bomb{ending}', {'state_dict': {'a': Bomb(fuse)}}, zipped)
    for read in (read_checkpoint, ensure_safe):
        with pytest.raises(CheckpointError, match=r'refused.*mkdir') as error:
            read(path)
        assert str(path) in str(error.value) and '\n' not in str(error.value)
        assert 'weights_only=False' not in str(error.value)  # no advice to open it anyway
    assert not fuse.exists()
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert fuse.exists()


def test_plain_pickle_does_not_run(tmp_path):
    fuse, path = tmp_path / 'fuse', tmp_path / 'bomb.pth'
    path.write_bytes(pickle.dumps({'a': Bomb(fuse)}))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not fuse.exists()


@pytest.mark.parametrize('zipped', FORMATS)
def test_official_namespace(tmp_path, zipped):
    content = {'model': {'a': torch.ones(2)}, 'args': argparse.Namespace(lr=0.1, model='coat')}
    checkpoint = read_checkpoint(save(tmp_path / 'a.pth', content, zipped))
    assert checkpoint['args'].lr == 0.1
    assert find_state_dict(checkpoint)['a'].sum() == 2


def test_namespace_holds_no_strangers(tmp_path):
    fuse = tmp_path / 'fuse'
    content = {'model': {'a': torch.ones(2)}, 'args': argparse.Namespace(hook=Bomb(fuse))}
    with pytest.raises(CheckpointError, match='refused'):
        read_checkpoint(save(tmp_path / 'a.pth', content))
    assert not fuse.exists()


def test_other_classes_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match='Stranger'):
        read_checkpoint(save(tmp_path / 'a.pth', {'a': torch.ones(1), 'b': Stranger()}))


def training_state() -> dict:
    buffer = HistoryBuffer()
    buffer.update(np.float64(0.5))
    buffer.update(1.5)
    scalars = dict(lr=np.float32(0.1), loss=np.float64(2), epoch=np.int64(3), done=np.bool_(True))
    history = OrderedDict({'train/loss': buffer})
    return {
        'state_dict': {'a': torch.ones(1)},
        'message_hub': {'log_scalars': history, 'runtime_info': scalars},
    }


def test_training_state_of_mmengine(tmp_path):
    path = save(tmp_path / 'a.pth', training_state())
    hub = read_checkpoint(path)['message_hub']
    assert hub['log_scalars']['train/loss'].mean() == 1.0
    assert hub['runtime_info']['loss'] == 2 and hub['runtime_info']['done']


def test_mmengine_loads_before_and_after(tmp_path):
    """OneDL's loader removes its allowed classes from the process-wide list; ours adds them again."""
    from mmengine.runner import CheckpointLoader

    path = save(tmp_path / 'a.pth', training_state())
    for _ in range(2):
        assert ensure_safe(path) == str(path)
        assert 'message_hub' in CheckpointLoader.load_checkpoint(str(path))


class Getattr:
    """Pickled, it is a call of ``getattr`` with the given arguments."""

    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return getattr, self.args


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (np.ndarray, 'tofile')])
def test_getattr_reaches_statistics_only(tmp_path, owner, name):
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(save(tmp_path / 'a.pth', {'a': Getattr(owner, name)}))


def test_names_of_both_numpys():
    allow_safe_globals()
    allowed = torch.serialization.get_safe_globals()
    names = {entry[1] for entry in allowed if isinstance(entry, tuple)}
    assert {'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'} <= names
    assert getattr not in allowed


def test_tar_of_the_first_pytorch(tmp_path):
    path = tmp_path / 'old.pth'
    with tarfile.open(path, 'w') as tar:
        for name in ('storages', 'tensors', 'pickle'):
            content = pickle.dumps({'a': Bomb(tmp_path / 'fuse')})
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(CheckpointError, match='tar'):
        read_checkpoint(path)
    assert not (tmp_path / 'fuse').exists()


@pytest.mark.parametrize('zipped', FORMATS)
def test_old_and_new_format(tmp_path, zipped):
    path = save(tmp_path / 'a.pth', {'a': torch.arange(3)}, zipped)
    assert read_checkpoint(path)['a'].tolist() == [0, 1, 2]
    assert ensure_safe(path) == str(path)


@pytest.mark.parametrize('zipped', FORMATS)
def test_damaged(tmp_path, zipped):
    """A file that is truncated or overwritten anywhere gives our error and no other."""
    path = save(tmp_path / 'a.pth', {'model': {'a': torch.arange(100.0)}, 'n': 1}, zipped)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in (1, 4, 50, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)
    for _ in range(60):
        noise = bytearray(whole)
        at = int(rng.integers(len(whole) - 8))
        noise[at : at + 8] = rng.bytes(8)
        path.write_bytes(bytes(noise))
        try:
            read_checkpoint(path)  # a changed weight cannot be noticed
        except CheckpointError as error:
            assert '\n' not in str(error)


def test_other_files(tmp_path):
    (tmp_path / 'empty.pth').touch()
    (tmp_path / 'text.pth').write_text('<html>404</html>')
    (tmp_path / 'text.safetensors').write_text('<html>404</html>')
    (tmp_path / 'folder.pth').mkdir()
    save(tmp_path / 'list.pth', [torch.ones(1)])
    for name, message in {
        'empty.pth': 'is empty',
        'text.pth': 'refused|damaged',
        'text.safetensors': 'damaged|needs',
        'folder.pth': 'is a folder',
        'list.pth': 'holds a list',
        'absent.pth': 'does not exist',
    }.items():
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(tmp_path / name)


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    save(tmp_path / 'a.pth', {'a': torch.ones(1)})
    assert ensure_safe('~/a.pth') == str(tmp_path / 'a.pth')


def test_safetensors(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'a.safetensors'
    safetensors.save_file({'a': torch.ones(2)}, path)
    assert find_state_dict(read_checkpoint(path))['a'].sum() == 2


def test_find_state_dict():
    weights = {'a': torch.ones(1)}
    for checkpoint in (weights, {'model': weights}, {'state_dict': weights, 'model': 'name'}):
        assert find_state_dict(checkpoint) == weights
    with pytest.raises(CheckpointError, match='no weights'):
        find_state_dict({'epoch': 1, 2: 'b'})
