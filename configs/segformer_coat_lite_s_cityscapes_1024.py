# MMSegmentation's segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py, tested in windows as there.
_base_ = [
    './_base_/backbones/coat_lite_small.py',
    './_base_/models/segformer_coat.py',
    './_base_/datasets/cityscapes_1024x1024.py',
    './_base_/schedules/adamw_160k_batch8.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 19
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels, num_classes=num_classes),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(768, 768)),
)
train_dataloader = dict(batch_size=1)  # 8 GPUs
# SegFormer's recipe: the head learns ten times as fast (arXiv 2105.15203, section 4.1)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
