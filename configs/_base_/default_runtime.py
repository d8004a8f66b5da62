# Settings that all tasks share. Each toolbox adds its scope and hooks in runtimes/.
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # tools/train.py uses gloo if there is no GPU
)
log_level = 'INFO'
load_from = None
resume = False
# The toolboxes' hooks in runtimes/ are added to these. tools/train.py adds these to any other config.
default_hooks = dict(
    check_weights=dict(type='mmcoat.CheckWeightsHook'),  # refuses weights that do not fit
    finite_loss=dict(type='mmcoat.FiniteLossHook'),  # a NaN stops the training
    stop_signal=dict(type='mmcoat.StopSignalHook'),  # SIGTERM and Ctrl-C save a checkpoint first
)
