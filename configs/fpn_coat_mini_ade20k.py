_base_ = [
    './_base_/backbones/coat_mini.py',
    './_base_/models/fpn_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_80k.py',
    './_base_/runtimes/mmseg.py',
]

model = dict(backbone=_base_.backbone, neck=dict(in_channels=_base_.channels))
train_dataloader = dict(batch_size=16, num_workers=8)  # one GPU
default_hooks = dict(checkpoint=dict(interval=8000))
