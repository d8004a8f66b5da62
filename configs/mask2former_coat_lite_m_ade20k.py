_base_ = [
    './_base_/backbones/coat_lite_medium.py',
    './_base_/models/mask2former_segmentor_coat.py',
    './_base_/datasets/ade20k_mask2former.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtimes/mmseg.py',
]

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels),
)
default_hooks = dict(checkpoint=dict(interval=5000))
