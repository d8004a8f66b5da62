_base_ = './mask_rcnn_coat.py'

model = dict(
    backbone=dict(
        arch='lite_tiny',
        init_cfg=dict(
            checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_tiny_e88e96b0.pth'
        ),
    ),
    neck=dict(in_channels=[64, 128, 256, 320]),
)
