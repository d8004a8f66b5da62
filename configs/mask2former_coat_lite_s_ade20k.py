_base_ = [
    './_base_/models/mask2former_segmentor_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/mask2former_160k.py',
    './_base_/runtimes/mmseg.py',
]

# Mask2Former's scales: the short side is 0.5 to 2 times 512, the long side at most 2048.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(
        type='RandomChoiceResize',
        scales=[int(51.2 * x) for x in range(5, 21)],
        resize_type='ResizeShortestEdge',
        max_size=2048,
    ),
    dict(type='RandomCrop', crop_size={{_base_.crop_size}}, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(interval=5000))
