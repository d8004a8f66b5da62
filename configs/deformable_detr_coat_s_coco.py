_base_ = './deformable_detr_coat_lite_s_coco.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_small_7479cf9b.pth'),
    ),
    neck=dict(in_channels=[320, 320, 320]),
)
