_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/mask2former_coat.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/mask2former_lsj_50e_coco.py',
    './_base_/runtimes/mmdet.py',
]

model = dict(
    backbone=dict(drop_path_rate=0.2, **_base_.backbone),
    panoptic_head=dict(in_channels=_base_.channels),
)
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=5000, max_keep_ckpts=3),
    logger=dict(log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
