"""The configs hold the official recipe, and every config builds."""

import argparse
import re
import shlex

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mmcoat import cli, runs
from tests.helpers import ROOT

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
    found = dict(
        batch=cfg.train_dataloader.batch_size,
        lr=cfg.optim_wrapper.optimizer.lr,
        warmup=cfg.param_scheduler.warmup,
        clip=cfg.optim_wrapper.get('clip_grad', {}).get('max_norm'),
        drop_path=cfg.model.backbone.get('drop_path_rate', 0.0),
        ema=any(hook.type == 'EMAHook' for hook in cfg.custom_hooks),
        epochs=cfg.train_cfg.max_epochs,
    )
    assert found == recipe
    assert cfg.auto_scale_lr.base_batch_size == 8 * recipe['batch']
    assert cfg.param_scheduler.end == recipe['epochs']  # the rates: tests/engine/test_schedulers.py
    assert cfg.train_dataloader.sampler.type == 'RepeatAugSampler'


@pytest.mark.parametrize('name', RECIPES)
def test_evaluation_size(name):
    cfg = load(name)
    size, edge = (384, 438) if name.endswith('384') else (224, 256)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert shapes_in_tests(loader.dataset.pipeline) == [(edge, 2 * edge), (size, size)]
        resize = loader.dataset.pipeline[1]
        assert (resize.interpolation, resize.backend) == ('bicubic', 'pillow')
    assert cfg.train_dataloader.dataset.pipeline[1].scale == size


@pytest.mark.parametrize(
    ('name', 'edges'), [('coat_s', (248, 496)), ('coat_lite_m_384', (384, 384))]
)
def test_the_documented_override_crops_as_timm(name, edges):
    """The options in each data set's file are read and given to the tools' parser."""
    size = 384 if name.endswith('384') else 224
    text = (ROOT / f'configs/_base_/datasets/imagenet_{size}.py').read_text()
    (options,) = re.findall(r'--cfg-options((?:[ \n#]+\S+=\S+)+)', text)
    parser = argparse.ArgumentParser()
    cli.add_config_arguments(parser)
    words = [word for word in shlex.split(options) if word != '#']
    page = (ROOT / 'docs' / 'model_zoo.md').read_text()
    assert all(word in page for word in words)
    args = parser.parse_args([f'configs/{name}_in1k.py', '--cfg-options', *words])
    cfg = runs.load_config(args.config, args.cfg_options)
    assert shapes_in_tests(cfg.test_dataloader.dataset.pipeline) == [edges, (size, size)]


def shapes_in_tests(pipeline) -> list[tuple[int, int]]:
    """Return (height, width) of a picture twice as wide as high after the resize and after the crop."""
    from mmengine.registry import TRANSFORMS, init_default_scope

    init_default_scope('mmpretrain')
    results, shapes = dict(img=np.zeros((300, 600, 3), np.uint8)), []
    for step in pipeline[1:3]:
        results = TRANSFORMS.build(step)(results)
        shapes.append(results['img'].shape[:2])
    return shapes


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


@pytest.mark.parametrize('name', RECIPES)
def test_what_decays(name):
    """As in the official runs: only parameters of two or more dimensions, also class tokens, have decay."""
    from mmpretrain.registry import MODELS

    cfg = load(name)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    found = {id(p): g['weight_decay'] for g in wrapper.param_groups for p in g['params']}
    decay = 1e-8 if name.endswith('384') else 0.05
    for key, parameter in model.named_parameters():
        assert found[id(parameter)] == (decay if parameter.dim() > 1 else 0.0), key
    tokens = [p for key, p in model.named_parameters() if key.endswith('cls_token')]
    assert [found[id(token)] for token in tokens] == 4 * [decay]
