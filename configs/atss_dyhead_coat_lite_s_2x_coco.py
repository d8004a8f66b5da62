_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/atss_dyhead_coat.py',
    './_base_/datasets/coco_detection_2000x1200.py',
    './_base_/schedules/adamw_2x_coco.py',
    './_base_/runtimes/mmdet.py',
]

model = dict(backbone=_base_.backbone)
_base_.model.neck[0].in_channels = _base_.channels[1:]  # a list would be replaced as a whole
