# Everything except the backbone is as in ../fpn_coat_lite_s_ade20k.py.
_base_ = [
    './backbones/convnext_tiny.py',
    '../_base_/models/fpn_coat.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/schedules/adamw_80k.py',
    '../_base_/runtimes/mmseg.py',
]

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.still))
train_dataloader = dict(batch_size=16, num_workers=8)  # one GPU
default_hooks = dict(checkpoint=dict(interval=8000))
