_base_ = './adamw_1x_coco.py'

# DyHead's recipe for Swin in MMDetection; there each of 12 epochs goes through the data set twice.
optim_wrapper = dict(optimizer=dict(lr=5e-5))  # 8 GPUs x 2 images
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=24, by_epoch=True, milestones=[16, 22], gamma=0.1),
]
train_cfg = dict(max_epochs=24)
