# MMSegmentation's deeplabv3plus/*_r50-d8_4xb4-80k_potsdam-512x512.py with the optimizer of its Swin on
# ADE20K.
_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/segformer_coat.py',
    './_base_/datasets/potsdam.py',
    './_base_/schedules/adamw_upernet_80k.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 6
model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels, num_classes=num_classes),
)
# SegFormer's recipe: the head learns ten times as fast (arXiv 2105.15203, section 4.1)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
default_hooks = dict(checkpoint=dict(interval=8000))
