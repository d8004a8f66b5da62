# Our own, including drop path: the paper does not train CoaT-Lite Medium on COCO.
_base_ = ['../backbones/coat_lite_medium.py', './mask_rcnn_coat.py']

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
