# MMSegmentation's deeplabv3plus/*_r50-d8_4xb4-80k_pascal-context-59-480x480.py with the optimizer of its Swin
# on ADE20K.
_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/upernet_coat.py',
    './_base_/datasets/pascal_context_59.py',
    './_base_/schedules/adamw_upernet_80k.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 59
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(drop_path_rate=0.15, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels, num_classes=num_classes),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=num_classes),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(320, 320)),
)
default_hooks = dict(checkpoint=dict(interval=8000))
