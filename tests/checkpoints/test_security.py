"""MMEngine never runs a file's code, however it opens one; damaged and inflated files are refused."""

import os
import tarfile
import zipfile

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint

from mmcoat import CoaT
from mmcoat.checkpoints import CheckpointError, load_backbone, read_checkpoint
from mmcoat.checkpoints.convert import convert_file
from mmcoat.checkpoints.publish import publish


class Evil:
    """Pickled, it is a call that makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def evil(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save({'state_dict': {}, 'more': Evil(tmp_path / 'ran')}, path)
    yield path
    assert not (tmp_path / 'ran').exists()


class Model(BaseModel):
    """A model that is no CoaT: MMEngine's own loading serves it."""

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, *args, **kwargs):
        return {'loss': self.layer(torch.ones(1, 2)).sum()}


def runner(tmp_path, **settings):
    loader = dict(dataset=[0, 1], sampler=dict(type='DefaultSampler', shuffle=False), batch_size=1)
    return Runner(
        Model(),
        str(tmp_path / 'work'),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name=f'evil{tmp_path.name}',
        **settings,
    )


def test_load_from(evil, tmp_path):
    with pytest.raises(CheckpointError, match='refused'):
        runner(tmp_path, load_from=str(evil)).train()


def test_resume_of_a_named_file(evil, tmp_path):
    with pytest.raises(CheckpointError, match='refused'):
        runner(tmp_path, load_from=str(evil), resume=True).train()


def test_automatic_resume(evil, tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'last_checkpoint').write_text(str(evil))
    with pytest.raises(CheckpointError, match='refused'):
        runner(tmp_path, resume=True).train()


@pytest.mark.parametrize('many', [False, True])
def test_init_cfg_of_any_module(evil, many):
    entry = dict(type='Pretrained', checkpoint=str(evil))
    with pytest.raises(CheckpointError, match='refused'):
        Model(init_cfg=[entry] if many else entry).init_weights()
    with pytest.raises(CheckpointError, match='refused'):
        CoaT('lite_tiny', init_cfg=[entry] if many else entry).init_weights()


def test_load_checkpoint(evil):
    with pytest.raises(CheckpointError, match='refused'):
        load_checkpoint(Model(), str(evil))


def test_a_scheme_of_another_package(evil, monkeypatch):
    """Its loader asks PyTorch for unrestricted loading, but restricted loading is used."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))

    @CheckpointLoader.register_scheme('elsewhere://', force=True)
    def load_from_elsewhere(filename, map_location=None):
        return torch.load(evil, weights_only=False)

    with pytest.raises(CheckpointError, match='could run code'):
        load_checkpoint(Model(), 'elsewhere://evil')
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


def test_good_files_still_load(tmp_path):
    torch.save(dict(state_dict=Model().state_dict()), tmp_path / 'good.pth')
    load_checkpoint(Model(), str(tmp_path / 'good.pth'), strict=True)


def test_a_compressed_bomb(tmp_path):
    plain, bomb = tmp_path / 'plain.pth', tmp_path / 'bomb.pth'
    torch.save({'a': torch.zeros(1_000_000)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert bomb.stat().st_size < 20_000
    with pytest.raises(CheckpointError, match='would unfold to 4'):
        read_checkpoint(bomb)


def test_damaged_bytes(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'a': torch.ones(10_000)}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='checksum'):
        read_checkpoint(path)


def test_tar_files_get_no_advice_to_open_them(tmp_path):
    with tarfile.open(tmp_path / 'a.pth', 'w') as archive:
        archive.add(__file__, 'storages')
    with pytest.raises(CheckpointError, match='tar form') as error:
        read_checkpoint(tmp_path / 'a.pth')
    assert 'weights_only' not in str(error.value)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('stages.0.cls_token', torch.tensor([1.0, float('nan')]), 'NaN'),
        ('stages.0.cls_token', torch.tensor([float('inf')]), 'NaN'),
        (
            'stages.0.cls_token',
            torch.tensor([float('nan')]).to(torch.float8_e4m3fn),
            'NaN',
        ),  # one byte
        ('stages.0.cls_token', torch.zeros(2, 2).to_sparse(), 'sparse'),
        ('stages.0.cls_token', torch.zeros(2, dtype=torch.complex64), 'complex64'),
        ('stages.0.cls_token', torch.empty(2, device='meta'), 'meta'),
        ('stages.0.cls_token', torch.zeros(1).expand(10**10), 'repeats the few numbers'),
        ('norms.3.weight', torch.zeros(2, dtype=torch.int8), 'int8'),
        (7, torch.zeros(1), 'the name 7 of a tensor is not text'),
    ],
)
def test_numbers_that_no_training_leaves(tmp_path, key, value, message):
    weights = CoaT('lite_tiny').state_dict()
    weights[key] = value
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': weights}, path)
    for use in (
        lambda: publish(str(path), tmp_path / 'out.pth'),
        lambda: convert_file(str(path), tmp_path / 'out.pth', 'own'),
        lambda: load_backbone(CoaT('lite_tiny', out_type='cls_token'), path),
    ):
        with pytest.raises(CheckpointError, match=message) as error:
            use()
        assert str(path) in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pth']


def test_a_backbone_takes_floating_point_alone(tmp_path):
    weights = CoaT('lite_tiny').state_dict()
    weights['stages.0.cls_token'] = weights['stages.0.cls_token'].to(torch.int8)
    torch.save({'state_dict': weights}, tmp_path / 'a.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    with pytest.raises(CheckpointError, match='int8'):
        CoaT('lite_tiny', init_cfg=init_cfg).init_weights()


def test_publish_touches_no_file_of_the_user(tmp_path):
    torch.save({'state_dict': CoaT('lite_tiny').state_dict()}, tmp_path / 'a.pth')
    mine = tmp_path / '.model.draft.pth'
    mine.write_text('mine')
    publish(str(tmp_path / 'a.pth'), tmp_path / 'model.pth')
    assert mine.read_text() == 'mine'
