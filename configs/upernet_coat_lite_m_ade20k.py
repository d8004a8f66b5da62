_base_ = './upernet_coat_lite_s_ade20k.py'

model = dict(
    backbone=dict(
        arch='lite_medium',
        drop_path_rate=0.2,
        init_cfg=dict(
            checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_medium_a750cd63.pth'
        ),
    ),
    decode_head=dict(in_channels=[128, 256, 320, 512]),
)
