"""The official classifier files in MMPretrain's classifier: as a whole, unmodified, and strictly."""

import argparse
from types import SimpleNamespace

import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint

from mmcoat import runs
from mmcoat.checkpoints import CheckpointError
from tests import golden
from tests.classification.pictures import make_imagenet
from tests.helpers import run_tool

CONFIGS = {
    'lite_tiny': 'configs/coat_lite_t_in1k.py',
    'lite_mini': 'configs/coat_lite_mini_in1k.py',
    'lite_small': 'configs/coat_lite_s_in1k.py',
    'lite_medium': 'configs/coat_lite_m_in1k.py',
    'tiny': 'configs/coat_t_in1k.py',
    'mini': 'configs/coat_mini_in1k.py',
    'small': 'configs/coat_s_in1k.py',
}


def official_weights(arch: str) -> dict[str, torch.Tensor]:
    record = golden.load('coat.json')[golden.ARCHS[arch]]
    weights = golden.state_dict(record['state_dict'])
    return weights | golden.state_dict(record['classifier']['extra_state_dict'])


def official_file(folder, weights: dict) -> str:
    """Write a file as the authors' script did: with the weights under 'model' and an argparse Namespace."""
    path = folder / 'official.pth'
    args = argparse.Namespace(model='coat', lr=5e-4)
    torch.save(dict(model=weights, optimizer={}, epoch=299, model_ema=None, args=args), path)
    return str(path)


def build(config: str) -> torch.nn.Module:
    import mmpretrain.models  # noqa: F401  registers LinearClsHead and others
    from mmpretrain.registry import MODELS

    return MODELS.build(Config.fromfile(config).model).eval()


@pytest.mark.parametrize(
    ('arch', 'form'),
    [(arch, 'official') for arch in CONFIGS] + [('lite_tiny', 'timm'), ('tiny', 'timm')],
)
def test_logits(arch, form, tmp_path):
    model = build(CONFIGS[arch])
    weights = official_weights(arch)
    # norms that the official classifier has and does not use; timm and mmcoat leave them out
    unused = ('norm1.', 'norm2.', 'norm3.') if 'lite' in arch else ('norm1.',)
    unused = {k: weights[k] for k in weights if k.startswith(unused)}
    if form == 'official':
        path = official_file(tmp_path, weights)
    else:
        weights = {k: v for k, v in weights.items() if k not in unused}
        path = str(tmp_path / 'timm.pth')
        torch.save(weights, path)
    load_checkpoint(model, path, map_location='cpu', strict=True)
    expected = golden.load('coat.json')[golden.ARCHS[arch]]['classifier']
    with torch.inference_mode():
        logits = model(golden.image(expected['input']), mode='tensor')
    golden.assert_matches(logits, expected['logits'])
    total = sum(p.numel() for p in model.parameters())
    assert total == expected['parameters'] - sum(v.numel() for v in unused.values())


def test_own_files_still_load(tmp_path):
    model, other = build(CONFIGS['lite_tiny']), build(CONFIGS['lite_tiny'])
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'own.pth')
    load_checkpoint(other, str(tmp_path / 'own.pth'), strict=True)
    for name, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


@pytest.mark.parametrize('wrong', ['missing', 'unexpected', 'alias'])
def test_a_wrong_file_is_refused(wrong, tmp_path):
    weights = official_weights('lite_tiny')
    if wrong == 'missing':
        del weights['head.bias']
    elif wrong == 'unexpected':
        weights['head_dist.weight'] = torch.zeros(3)
    else:
        key = 'serial_blocks1.1.cpe.proj.bias'
        weights[key] = weights[key] + 1
    path = official_file(tmp_path, weights)
    expected = {'missing': 'head.fc.bias', 'unexpected': 'head_dist', 'alias': 'shared tensor'}
    with pytest.raises((RuntimeError, CheckpointError), match=expected[wrong]):
        load_checkpoint(build(CONFIGS['lite_tiny']), path, strict=True)


@pytest.fixture
def data(tmp_path):
    """Four of ImageNet's thousand classes, with their lists."""
    root = tmp_path / 'data'
    make_imagenet(root, train=4, val=3)
    (root / 'meta').mkdir()
    for split in ('train', 'val'):
        files = sorted((root / split).rglob('*.JPEG'))
        lines = [f'{path.relative_to(root / split)} {i}' for i, path in enumerate(files)]
        (root / 'meta' / f'{split}.txt').write_text('\n'.join(lines))
    return root


def small_config(tmp_path, data) -> Config:
    """Return the real config for a few small pictures, loaded in this process."""
    cfg = Config.fromfile(CONFIGS['lite_tiny'])
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(data)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline[1].scale = 64
        loader.dataset.pipeline[2].crop_size = 64
    cfg.work_dir = str(tmp_path / 'work')
    return cfg


def test_tool(tmp_path, data, monkeypatch):
    cfg = small_config(tmp_path, data)
    cfg.dump(tmp_path / 'small.py')
    path = official_file(tmp_path, official_weights('lite_tiny'))
    out = tmp_path / 'results.pkl'
    assert run_tool(monkeypatch, 'test', tmp_path / 'small.py', path, '--out', out) == 0
    model = build(CONFIGS['lite_tiny'])
    load_checkpoint(model, path, strict=True)
    results = mmengine.load(out)
    assert len(results) == 12
    cfg.test_dataloader.dataset._scope_ = 'mmpretrain'
    dataset = Runner.build_dataloader(cfg.test_dataloader).dataset
    batch = model.data_preprocessor(dict(inputs=[dataset[5]['inputs']], data_samples=None))
    with torch.inference_mode():
        score = model(batch['inputs'], mode='tensor').softmax(-1)[0]
    np.testing.assert_allclose(results[5]['pred_score'], score, atol=1e-5)


def test_another_arch_is_refused(tmp_path):
    path = official_file(tmp_path, official_weights('lite_mini'))
    runner = SimpleNamespace(model=build(CONFIGS['lite_tiny']))
    with pytest.raises(CheckpointError, match='lite_mini'):
        runs.load_strictly(runner, path)


def test_load_from(tmp_path, data):
    cfg = small_config(tmp_path, data)
    cfg.load_from = official_file(tmp_path, official_weights('lite_tiny'))
    runner = Runner.from_cfg(cfg)
    runner.call_hook('before_run')  # EMAHook copies the model; the official file must reach both
    runner.load_or_resume()
    expected = official_weights('lite_tiny')
    loaded = runner.model.state_dict()
    assert torch.equal(loaded['head.fc.weight'], expected['head.weight'])
    assert torch.equal(loaded['backbone.stages.0.cls_token'], expected['cls_token1'])
    (ema,) = [hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook']
    averaged = ema.ema_model.module.state_dict()
    assert all(torch.equal(averaged[name], value) for name, value in loaded.items())


def test_inferencer(tmp_path):
    from mmpretrain.apis import ImageClassificationInferencer

    path = official_file(tmp_path, official_weights('lite_tiny'))
    inferencer = ImageClassificationInferencer(CONFIGS['lite_tiny'], pretrained=path, device='cpu')
    make_imagenet(tmp_path / 'data', train=0, val=1)
    picture = next((tmp_path / 'data').rglob('*.JPEG'))
    (result,) = inferencer(str(picture))
    head = inferencer.model.state_dict()['head.fc.bias']
    assert torch.equal(head, official_weights('lite_tiny')['head.bias'])
    assert result['pred_scores'].shape == (1000,)
