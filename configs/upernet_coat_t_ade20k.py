_base_ = './upernet_coat_lite_s_ade20k.py'

model = dict(
    backbone=dict(
        arch='tiny',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_tiny_c6efc33c.pth'),
    ),
    decode_head=dict(in_channels=[152, 152, 152, 152]),
    auxiliary_head=dict(in_channels=152),
)
