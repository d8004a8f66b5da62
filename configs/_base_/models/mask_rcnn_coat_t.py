# Our own: the paper does not train CoaT Tiny on COCO.
_base_ = ['../backbones/coat_tiny.py', './mask_rcnn_coat.py']

model = dict(backbone=_base_.backbone, neck=dict(in_channels=_base_.channels))
