_base_ = [
    './_base_/models/dino_coat.py',
    './_base_/datasets/coco_detection_detr.py',
    './_base_/schedules/dino_12e_coco.py',
    './_base_/runtimes/mmdet.py',
]
