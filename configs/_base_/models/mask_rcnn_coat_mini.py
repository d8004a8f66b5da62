_base_ = './mask_rcnn_coat.py'

model = dict(
    backbone=dict(
        arch='mini',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_mini_40667eec.pth'),
    ),
    neck=dict(in_channels=[152, 216, 216, 216]),
)
