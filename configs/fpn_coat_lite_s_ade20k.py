_base_ = [
    './_base_/models/fpn_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_80k.py',
    './_base_/runtimes/mmseg.py',
]

train_dataloader = dict(batch_size=16, num_workers=8)  # one GPU
default_hooks = dict(checkpoint=dict(interval=8000))
