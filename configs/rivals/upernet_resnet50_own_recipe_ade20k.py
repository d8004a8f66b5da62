_base_ = './upernet_resnet50_ade20k.py'

# ResNet's own recipe in MMSegmentation (upernet/upernet_r50_4xb4-160k_ade20k-512x512.py): SGD, no warm-up.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    # 8 GPUs x 2 images
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005),
)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=160000, by_epoch=False)
]
