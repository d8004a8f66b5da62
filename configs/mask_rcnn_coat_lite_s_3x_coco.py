_base_ = [
    './_base_/models/mask_rcnn_coat_lite_s.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/adamw_3x_coco.py',
    './_base_/runtimes/mmdet.py',
]
