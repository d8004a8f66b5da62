_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/dino_coat.py',
    './_base_/datasets/coco_detection_detr.py',
    './_base_/schedules/dino_12e_coco.py',
    './_base_/runtimes/mmdet.py',
]

model = dict(backbone=_base_.backbone, neck=dict(in_channels=_base_.channels[1:]))
