# The official fine-tuning of CoaT-Lite Medium at 384 x 384: 6 epochs, almost no weight decay.
_base_ = './imagenet_300e_clip.py'

optim_wrapper = dict(
    optimizer=dict(lr=2.5e-6, weight_decay=1e-8),  # 8 GPUs x 32 images: 5e-6 x 256 / 512
)
# main.py scales the rate with the batch, but not the lower bound (--min-lr 5e-6). So the rate rises to that
# bound.
param_scheduler = dict(warmup=0, eta_min=5e-6, end=6)
train_cfg = dict(max_epochs=6, val_interval=1)
auto_scale_lr = dict(base_batch_size=256)
