_base_ = './upernet_coat_lite_s_ade20k.py'

model = dict(
    backbone=dict(
        arch='lite_mini',
        init_cfg=dict(
            checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_mini_6b4a8ae5.pth'
        ),
    ),
)
