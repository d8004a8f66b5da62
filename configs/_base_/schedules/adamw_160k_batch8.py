_base_ = './adamw_160k.py'

# SegFormer's recipe on Cityscapes: the same rate for half the batch.
optim_wrapper = dict(
    optimizer=dict(lr=6e-5)
)  # 8 GPUs x 1 image; another total batch: --auto-scale-lr
auto_scale_lr = dict(base_batch_size=8)
