# MMSegmentation's pspnet/*_r50-d8_4xb4-160k_coco-stuff164k-512x512.py with the optimizer of its Swin on
# ADE20K.
_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/upernet_coat.py',
    './_base_/datasets/coco_stuff164k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 171
model = dict(
    backbone=dict(drop_path_rate=0.15, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels, num_classes=num_classes),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=num_classes),
)
