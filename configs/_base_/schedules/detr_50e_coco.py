# Deformable DETR's official schedule: 50 epochs, one drop after 40.
optim_wrapper = dict(
    type='OptimWrapper',
    # 8 GPUs x 2 images; another total batch: --auto-scale-lr
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4, fused=True),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    # The official code decays every parameter, the backbone's norms and class tokens among them; at
    # 1e-4 that is kept.
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
# NOTE: uncertain. The authors' command takes 8 GPUs x 2 images, and their README says that it follows the
# settings of Deformable DETR, whose README says a total batch of 32.
auto_scale_lr = dict(enable=False, base_batch_size=16)
