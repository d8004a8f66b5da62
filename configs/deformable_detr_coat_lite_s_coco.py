_base_ = [
    './_base_/models/deformable_detr_coat.py',
    './_base_/datasets/coco_detection_detr.py',
    './_base_/schedules/detr_50e_coco.py',
    './_base_/runtimes/mmdet.py',
]
