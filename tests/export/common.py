"""Real configs with models so small that tracing them takes seconds."""

import torch
from mmengine.config import Config

from mmcoat.apis import models
from tests.helpers import load

ARCH = dict(
    embed_dims=[8, 16, 16, 24],
    serial_depths=[1, 1, 1, 1],
    mlp_ratios=[2, 2, 2, 2],
    num_heads=8,
    parallel_depth=0,
    parallel_stages=[],
)
DIMS = ARCH['embed_dims']
CLASSES = 7
OURS = {
    'unet': dict(type='mmcoat.UNetHead', decoder_channels=(16, 12, 8)),
    'daformer': dict(type='mmcoat.DAFormerHead', embed_dims=8, channels=8),
}
BASES = dict(fpn='fpn', upernet='upernet', segformer='segformer', unet='fpn', daformer='fpn')


def segmentor(kind: str) -> Config:
    """Return a config of mmcoat's, or one with a head of ours, with few channels."""
    cfg = load(f'{BASES[kind]}_coat_lite_s_ade20k.py')
    model = cfg.model
    model.backbone.update(arch=dict(ARCH), init_cfg=None)
    model.pop('auxiliary_head', None)
    if kind in OURS:
        model.pop('neck')
        model.decode_head = dict(
            in_channels=DIMS, num_classes=CLASSES, norm_cfg=dict(type='BN'), **OURS[kind]
        )
        return cfg
    model.decode_head.update(channels=8, num_classes=CLASSES)
    if kind == 'fpn':
        model.neck.update(in_channels=DIMS, out_channels=8)
        model.decode_head.in_channels = [8] * 4
    else:
        model.decode_head.in_channels = DIMS
    return cfg


def weights(cfg: Config, path) -> str:
    """Save random weights, with norms whose statistics are not initial, and return the file."""
    torch.manual_seed(0)
    model, _ = models.build(cfg, None)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, torch.nn.Conv2d) and module.out_channels == CLASSES:
            module.weight.data.normal_(0, 1)  # MMSegmentation begins with nearly equal scores
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), path)
    return str(path)
