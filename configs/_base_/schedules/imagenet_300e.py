# The official recipe of CoaT on ImageNet: DeiT's recipe with repeated augmentation, but without its drop
# path. The authors trained in mixed precision: tools/train.py --amp.
optim_wrapper = dict(
    type='OptimWrapper',
    # 8 GPUs x 256 images: 5e-4 x 2048 / 512; another total batch: --auto-scale-lr
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    # In the official code all one-dimensional parameters (norms and biases) have no weight decay. Class
    # tokens have it: the model lists them in no_weight_decay, but main.py wraps the model in DDP before the
    # optimizer reads that list. To exclude them too: custom_keys={'cls_token': dict(decay_mult=0.0)}
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
# gives the official rate (that of timm 0.3.2) in every epoch; end is the number of epochs
param_scheduler = dict(type='mmcoat.TimmCosineLR', warmup=5, warmup_lr=1e-6, eta_min=1e-5, end=300)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=2048)

# NOTE: the authors computed this average too, but reported the accuracy of the raw weights. Here the average
# is evaluated and saved as 'state_dict'. evaluate_on_origin=True adds the accuracy of the raw weights.
custom_hooks = [dict(type='EMAHook', momentum=4e-5)]  # EMA decay of 0.99996
