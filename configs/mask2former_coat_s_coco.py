_base_ = './mask2former_coat_lite_s_coco.py'

model = dict(
    backbone=dict(
        arch='small',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_small_7479cf9b.pth'),
    ),
    panoptic_head=dict(in_channels=[152, 320, 320, 320]),
)
