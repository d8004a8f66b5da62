# MMSegmentation's segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py, tested in windows as there.
_base_ = [
    './_base_/backbones/coat_small.py',
    './_base_/models/upernet_coat.py',
    './_base_/datasets/cityscapes_1024x1024.py',
    './_base_/schedules/adamw_160k_batch8.py',
    './_base_/runtimes/mmseg.py',
]

num_classes = 19
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(drop_path_rate=0.15, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels, num_classes=num_classes),
    auxiliary_head=dict(in_channels=_base_.channels[2], num_classes=num_classes),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(768, 768)),
)
train_dataloader = dict(batch_size=1)  # 8 GPUs
