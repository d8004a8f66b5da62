_base_ = [
    './_base_/models/atss_dyhead_coat.py',
    './_base_/datasets/coco_detection_2000x1200.py',
    './_base_/schedules/adamw_2x_coco.py',
    './_base_/runtimes/mmdet.py',
]
