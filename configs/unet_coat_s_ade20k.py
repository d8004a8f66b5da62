_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/unet_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtimes/mmseg.py',
]

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels),
)
