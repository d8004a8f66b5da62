_base_ = './retinanet_coat_lite_s_1x_coco.py'

model = dict(
    backbone=dict(
        arch='small',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_small_7479cf9b.pth'),
    ),
    neck=dict(in_channels=[320, 320, 320]),
)
