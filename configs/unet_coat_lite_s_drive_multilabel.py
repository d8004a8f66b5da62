# unet_coat_lite_s_drive_masks.py for two masks that may overlap.
_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/unet_masks_coat.py',
    './_base_/datasets/drive_multilabel.py',
    './_base_/schedules/adamw_upernet_40k_ema.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 2
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=_base_.backbone,
    decode_head=dict(
        in_channels=_base_.channels,
        num_classes=num_classes,
        out_channels=num_classes,
        threshold=None,  # a test also searches the threshold of each mask
        loss_decode=dict(labels='bits'),
    ),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(170, 170)),
)
default_hooks = dict(
    checkpoint=dict(interval=4000, save_best='mask/dice', rule='greater'),
    visualization=None,  # MMSegmentation draws one class per pixel
)
