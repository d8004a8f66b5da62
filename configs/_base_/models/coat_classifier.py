# The paper's ImageNet classifier: CoaT's class embedding and a Linear layer. Configs set arch and channels.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=1000,  # Mixup and CutMix need it for soft labels
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='mmcoat.CoaT', out_type='cls_token'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        topk=(1, 5),
    ),
    # each batch gets one of the two, with equal probability
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
