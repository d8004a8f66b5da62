# unet_coat_lite_m_ade20k.py with a fifth scale at stride 64.
_base_ = [
    './_base_/backbones/coat_lite_medium_5scales.py',
    './_base_/models/unet_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtimes/mmseg.py',
]

model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=64)),
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    decode_head=dict(
        in_channels=_base_.channels,
        decoder_channels=(256, 256, 128, 64),  # at strides 32, 16, 8 and 4
    ),
)
