_base_ = './upernet_coat_lite_s_ade20k.py'

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_small_7479cf9b.pth'),
    ),
    decode_head=dict(in_channels=[152, 320, 320, 320]),
)
