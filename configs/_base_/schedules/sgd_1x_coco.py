_base_ = './adamw_1x_coco.py'

# MMDetection's 1x schedule with the learning rate of its RetinaNet on Swin-T.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    # 8 GPUs x 2 images; another total batch: --auto-scale-lr
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
)
