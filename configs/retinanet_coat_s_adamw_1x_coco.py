_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/retinanet_coat.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/adamw_1x_coco.py',
    './_base_/runtimes/mmdet.py',
]

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone), neck=dict(in_channels=_base_.channels[1:])
)
