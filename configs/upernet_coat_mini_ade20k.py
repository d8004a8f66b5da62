_base_ = './upernet_coat_lite_s_ade20k.py'

model = dict(
    backbone=dict(
        arch='mini',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_mini_40667eec.pth'),
    ),
    decode_head=dict(in_channels=[152, 216, 216, 216]),
    auxiliary_head=dict(in_channels=216),
)
