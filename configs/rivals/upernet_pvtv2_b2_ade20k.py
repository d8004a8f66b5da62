# Everything except the backbone is as in ../upernet_coat_lite_s_ade20k.py.
_base_ = [
    './backbones/pvtv2_b2.py',
    '../_base_/models/upernet_coat.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/schedules/adamw_160k.py',
    '../_base_/runtimes/mmseg.py',
]

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.still))
