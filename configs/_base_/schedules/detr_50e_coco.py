# Deformable DETR's official schedule: 50 epochs, the rate drops once, after epoch 40.
optim_wrapper = dict(
    type='OptimWrapper',
    # 8 GPUs x 2 images; another total batch: --auto-scale-lr
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4, fused=True),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    # The official code applies weight decay to every parameter, including the backbone's norms and class
    # tokens. Since it is only 1e-4, the same is done here.
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.1),
            'sampling_offsets': dict(lr_mult=0.1),
            'reference_points': dict(lr_mult=0.1),
        }
    ),
)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=50, by_epoch=True, milestones=[40], gamma=0.1)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# NOTE: uncertain. The authors' command uses 8 GPUs x 2 images. But their README says that it follows
# Deformable DETR's settings, and Deformable DETR's README gives a total batch of 32.
auto_scale_lr = dict(enable=False, base_batch_size=16)
