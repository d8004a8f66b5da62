# MMSegmentation's unet/*_4xb4-40k_hrf-256x256.py with the optimizer of its Swin on ADE20K.
_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/segformer_coat.py',
    './_base_/datasets/drive.py',
    './_base_/schedules/adamw_upernet_40k.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 2
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels, num_classes=num_classes),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(170, 170)),
)
# SegFormer's recipe: the head learns ten times as fast (arXiv 2105.15203, section 4.1)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
default_hooks = dict(checkpoint=dict(interval=4000, save_best='mDice'))
