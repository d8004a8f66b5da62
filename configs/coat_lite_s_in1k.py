_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/coat_classifier.py',
    './_base_/datasets/imagenet_224.py',
    './_base_/schedules/imagenet_300e.py',
    './_base_/runtimes/mmpretrain.py',
]

model = dict(
    backbone=dict(arch=_base_.backbone.arch),
    head=dict(in_channels=_base_.channels[-1]),
)
