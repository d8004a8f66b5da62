_base_ = '../default_runtime.py'

default_scope = 'mmdet'
# batches differ in shape, and every new shape would be tuned again
env_cfg = dict(cudnn_benchmark=False)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmcoat.CheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
)
vis_backends = [
    dict(type='LocalVisBackend'),
    # Uncomment for curves in the browser (docs/analysis.md):
    # dict(type='TensorboardVisBackend'),  # pip install tensorboard; tensorboard --logdir work_dirs
    # dict(type='WandbVisBackend', init_kwargs=dict(project='mmcoat')),  # pip install wandb; wandb login
]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
