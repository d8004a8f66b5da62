_base_ = './mask_rcnn_coat.py'

model = dict(
    backbone=dict(
        arch='lite_medium',
        drop_path_rate=0.2,  # chosen here; the paper trains no Lite Medium on COCO
        init_cfg=dict(
            checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_medium_a750cd63.pth'
        ),
    ),
    neck=dict(in_channels=[128, 256, 320, 512]),
)
