# One of the authors' models on COCO.
_base_ = ['../backbones/coat_lite_small.py', './cascade_mask_rcnn_coat.py']

model = dict(backbone=_base_.backbone, neck=dict(in_channels=_base_.channels))
