# One of the paper's models on COCO, with its drop path.
_base_ = ['../backbones/coat_small.py', './mask_rcnn_coat.py']

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
