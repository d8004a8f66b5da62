_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/deformable_detr_coat.py',
    './_base_/datasets/coco_detection_detr.py',
    './_base_/schedules/detr_50e_coco.py',
    './_base_/runtimes/mmdet.py',
]

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    neck=dict(in_channels=_base_.channels[1:]),
)
