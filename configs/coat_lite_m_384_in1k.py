_base_ = [
    './_base_/backbones/coat_lite_medium.py',
    './_base_/models/coat_classifier.py',
    './_base_/datasets/imagenet_384.py',
    './_base_/schedules/imagenet_6e_384.py',
    './_base_/runtimes/mmpretrain.py',
]

model = dict(
    backbone=dict(arch=_base_.backbone.arch, drop_path_rate=0.2),
    head=dict(in_channels=_base_.channels[-1]),
)
train_dataloader = dict(batch_size=32)
# fine-tuned from the weights for 224 x 224
load_from = _base_.backbone.init_cfg.checkpoint
