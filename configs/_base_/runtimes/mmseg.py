_base_ = '../default_runtime.py'

default_scope = 'mmseg'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='mmcoat.CheckpointHook',
        by_epoch=False,
        interval=16000,
        max_keep_ckpts=2,
        save_best='mIoU',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
vis_backends = [
    dict(type='LocalVisBackend'),
    # Uncomment for curves in the browser (docs/analysis.md):
    # dict(type='TensorboardVisBackend'),  # pip install tensorboard; tensorboard --logdir work_dirs
    # dict(type='WandbVisBackend', init_kwargs=dict(project='mmcoat')),  # pip install wandb; wandb login
]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
tta_model = dict(type='SegTTAModel')
