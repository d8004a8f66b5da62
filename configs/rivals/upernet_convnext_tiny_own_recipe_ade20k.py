_base_ = './upernet_convnext_tiny_ade20k.py'

# ConvNeXt's own recipe (MMSegmentation's convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py): more drop
# path, a higher rate and decay, layer-wise decay of the rate by stages, and sliding windows at test time.
model = dict(
    backbone=dict(drop_path_rate=0.4),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(341, 341)),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='LearningRateDecayOptimizerConstructor',
    # 8 GPUs x 2 images; trained in mixed precision: tools/train.py --amp
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(decay_rate=0.9, decay_type='stage_wise', num_layers=6),
)
