_base_ = './adamw_1x_coco.py'

# SGD is MMDetection's choice: its 1x schedule, and the learning rate of its RetinaNet with Swin-T. CoaT's own
# recipes use AdamW, as does retinanet_coat_*_adamw_1x_coco.py.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    # 8 GPUs x 2 images; another total batch: --auto-scale-lr
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
)
