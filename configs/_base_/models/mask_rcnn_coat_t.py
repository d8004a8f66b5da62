_base_ = './mask_rcnn_coat.py'

model = dict(
    backbone=dict(
        arch='tiny',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_tiny_c6efc33c.pth'),
    ),
    neck=dict(in_channels=[152, 152, 152, 152]),
)
