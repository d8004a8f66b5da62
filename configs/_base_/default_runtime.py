# What every task shares. Each toolbox adds its scope and hooks in runtimes/.
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # tools/train.py takes gloo where there is no GPU
)
log_level = 'INFO'
load_from = None
resume = False
# Each toolbox's hooks in runtimes/ join these. tools/train.py puts them into any other config.
default_hooks = dict(
    check_weights=dict(type='mmcoat.CheckWeightsHook'),  # load_from and resume: what does not fit
    finite_loss=dict(type='mmcoat.FiniteLossHook'),  # a NaN stops the training
    stop_signal=dict(type='mmcoat.StopSignalHook'),  # SIGTERM and Ctrl-C save first
)
