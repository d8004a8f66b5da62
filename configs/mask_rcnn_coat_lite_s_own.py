# Mask R-CNN for your own objects: inherit from this file, or copy it.
_base_ = [
    './_base_/models/mask_rcnn_coat_lite_s.py',
    './_base_/datasets/own_coco.py',
    './_base_/schedules/adamw_1x_coco.py',
    './_base_/runtimes/mmdet.py',
]

num_classes = len(_base_.classes)
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes))
)
