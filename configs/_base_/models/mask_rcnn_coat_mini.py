# One of the paper's models on COCO.
_base_ = ['../backbones/coat_mini.py', './mask_rcnn_coat.py']

model = dict(backbone=_base_.backbone, neck=dict(in_channels=_base_.channels))
