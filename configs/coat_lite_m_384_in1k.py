_base_ = [
    './_base_/models/coat_classifier.py',
    './_base_/datasets/imagenet_384.py',
    './_base_/schedules/imagenet_6e_384.py',
    './_base_/runtimes/mmpretrain.py',
]

model = dict(backbone=dict(arch='lite_medium', drop_path_rate=0.2))
train_dataloader = dict(batch_size=32)
# trained on from the weights for 224 x 224
load_from = 'https://vcl.ucsd.edu/coat/pretrained/coat_lite_medium_a750cd63.pth'
