"""The configs hold the official recipe, and every config builds."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

# per GPU batch, rate, warm-up epochs, clipping, drop path, EMA, epochs: the official README's commands
DEFAULT = dict(batch=256, lr=2e-3, warmup=5, clip=None, drop_path=0.0, ema=True, epochs=300)
LARGE = dict(batch=128, lr=1e-3, warmup=20, clip=5.0, ema=False, epochs=300)
RECIPES = {
    'coat_lite_t': DEFAULT,
    'coat_lite_mini': DEFAULT,
    'coat_lite_s': DEFAULT,
    'coat_t': DEFAULT,
    'coat_mini': DEFAULT,
    'coat_s': LARGE | dict(drop_path=0.2),
    'coat_lite_m': LARGE | dict(drop_path=0.3),
    'coat_lite_m_384': LARGE | dict(batch=32, lr=2.5e-6, warmup=0, drop_path=0.2, epochs=6),
}


def load(name: str) -> Config:
    return Config.fromfile(f'configs/{name}_in1k.py')


@pytest.mark.parametrize('name', RECIPES)
def test_recipe(name):
    cfg, recipe = load(name), RECIPES[name]
    warmup = [s for s in cfg.param_scheduler if s.type == 'LinearLR']
    found = dict(
        batch=cfg.train_dataloader.batch_size,
        lr=cfg.optim_wrapper.optimizer.lr,
        warmup=warmup[0].end if warmup else 0,
        clip=cfg.optim_wrapper.get('clip_grad', {}).get('max_norm'),
        drop_path=cfg.model.backbone.get('drop_path_rate', 0.0),
        ema=any(hook.type == 'EMAHook' for hook in cfg.custom_hooks),
        epochs=cfg.train_cfg.max_epochs,
    )
    assert found == recipe
    assert cfg.auto_scale_lr.base_batch_size == 8 * recipe['batch']
    assert cfg.param_scheduler[-1].end == recipe['epochs']
    assert cfg.train_dataloader.sampler.type == 'RepeatAugSampler'


@pytest.mark.parametrize('name', RECIPES)
def test_evaluation_size(name):
    cfg = load(name)
    size, edge = (384, 426) if name.endswith('384') else (224, 248)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        resize, crop = loader.dataset.pipeline[1:3]
        assert (resize.scale, crop.crop_size) == (edge, size) == (int(size / 0.9), size)
        assert (resize.interpolation, resize.backend) == ('bicubic', 'pillow')
    assert cfg.train_dataloader.dataset.pipeline[1].scale == size


@pytest.mark.parametrize('name', RECIPES)
def test_builds_and_steps(name):
    import mmpretrain.models  # noqa: F401
    from mmpretrain.registry import MODELS
    from mmpretrain.structures import DataSample

    cfg = load(name)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    inputs = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(label) for label in (3, 7)]
    losses = model.train_step(dict(inputs=inputs, data_samples=samples), wrapper)
    assert torch.isfinite(losses['loss'])


def test_what_decays():
    from mmpretrain.registry import MODELS

    cfg = load('coat_t')
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decayed = {id(p): g['weight_decay'] for g in wrapper.param_groups for p in g['params']}
    for name, parameter in model.named_parameters():
        official = parameter.dim() > 1 and 'cls_token' not in name  # timm's rule
        assert decayed[id(parameter)] == (0.05 if official else 0.0), name
