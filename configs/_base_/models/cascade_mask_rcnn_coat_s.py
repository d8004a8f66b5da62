# One of the authors' models on COCO, with their drop path.
_base_ = ['../backbones/coat_small.py', './cascade_mask_rcnn_coat.py']

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
