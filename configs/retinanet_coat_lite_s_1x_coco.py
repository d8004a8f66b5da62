_base_ = [
    './_base_/models/retinanet_coat.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/sgd_1x_coco.py',
    './_base_/runtimes/mmdet.py',
]
