# The official changes for CoaT Small and CoaT-Lite Medium: half the batch, a longer warm-up, clipped
# gradients, no EMA, and drop path (set in their configs).
_base_ = './imagenet_300e.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-3),  # 8 GPUs x 128 images: 5e-4 x 1024 / 512
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = dict(warmup=20)
auto_scale_lr = dict(base_batch_size=1024)
custom_hooks = []
