_base_ = [
    './_base_/backbones/coat_tiny.py',
    './_base_/models/upernet_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtimes/mmseg.py',
]

model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
