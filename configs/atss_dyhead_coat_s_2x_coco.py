_base_ = './atss_dyhead_coat_lite_s_2x_coco.py'

model = dict(
    backbone=dict(
        arch='small',
        init_cfg=dict(checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_small_7479cf9b.pth'),
    ),
    # a list is replaced as a whole; only in_channels differs
    neck=[
        dict(
            type='FPN',
            in_channels=[320, 320, 320],
            out_channels=256,
            start_level=0,
            add_extra_convs='on_output',
            num_outs=5,
        ),
        dict(
            type='DyHead', in_channels=256, out_channels=256, num_blocks=6, zero_init_offset=False
        ),
    ],
)
