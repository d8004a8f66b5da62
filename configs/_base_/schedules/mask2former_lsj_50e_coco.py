# Mask2Former's 50 epochs on COCO: 368750 iterations of 16 images. The backbone has a tenth of the rate.
# Norms, class tokens and query embeddings have no weight decay. The longest matching key counts, so the
# backbone's norms and class tokens are listed here with their full names.
_still = dict(lr_mult=0.1, decay_mult=0.0)
_embed = dict(lr_mult=1.0, decay_mult=0.0)
_norms = ['backbone.stages.%d.patch_embed.norm', 'backbone.stages.%d.cls_token']
_norms += [f'backbone.stages.%d.blocks.{block}.norm' for block in range(10)]
_norms += [f'backbone.parallel_blocks.{block}.branches.%d.norm' for block in range(6)]
optim_wrapper = dict(
    type='OptimWrapper',
    # 8 GPUs x 2 images; another total batch: --auto-scale-lr
    optimizer=dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05, fused=True
    ),
    clip_grad=dict(max_norm=0.01, norm_type=2),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'backbone': dict(lr_mult=0.1, decay_mult=1.0),
            'query_embed': _embed,
            'query_feat': _embed,
            'level_embed': _embed,
            **{name % stage: _still for name in _norms for stage in range(4)},
        },
    ),
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        begin=0,
        end=368750,
        by_epoch=False,
        milestones=[327778, 355092],
        gamma=0.1,
    )
]
# every 5000 iterations, and at the end
train_cfg = dict(
    type='IterBasedTrainLoop',
    max_iters=368750,
    val_interval=5000,
    dynamic_intervals=[(365001, 368750)],
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
