_base_ = [
    './_base_/backbones/coat_tiny.py',
    './_base_/models/segformer_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtimes/mmseg.py',
]

model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels),
)
train_dataloader = dict(batch_size=16, num_workers=8)  # one GPU
# SegFormer's recipe: the head learns ten times as fast (arXiv 2105.15203, section 4.1)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
