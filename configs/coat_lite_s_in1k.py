_base_ = [
    './_base_/models/coat_classifier.py',
    './_base_/datasets/imagenet_224.py',
    './_base_/schedules/imagenet_300e.py',
    './_base_/runtimes/mmpretrain.py',
]
