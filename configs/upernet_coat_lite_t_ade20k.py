_base_ = './upernet_coat_lite_s_ade20k.py'

model = dict(
    backbone=dict(
        arch='lite_tiny',
        init_cfg=dict(
            checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_tiny_e88e96b0.pth'
        ),
    ),
    decode_head=dict(in_channels=[64, 128, 256, 320]),
    auxiliary_head=dict(in_channels=256),
)
