# The official recipe of CoaT on COCO: 12 epochs, the rate drops after epochs 8 and 11. The authors trained in
# mixed precision: tools/train.py --amp.
optim_wrapper = dict(
    type='OptimWrapper',
    # 8 GPUs x 2 images; another total batch: --auto-scale-lr
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    # NOTE: the official code applied weight decay to norms and class tokens too: it registers shared modules
    # # twice, which paramwise_cfg does not allow. Here each parameter has only one name.
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'cls_token': dict(decay_mult=0.0)}),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
