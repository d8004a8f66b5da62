_base_ = './segmentor_coat.py'

# U-Net's decoder, chosen here because winners of Kaggle contests used it with CoaT.
norm_cfg = dict(type='SyncBN', requires_grad=True)
num_classes = 150
model = dict(
    decode_head=dict(
        type='mmcoat.UNetHead',
        decoder_channels=(256, 128, 64),  # at strides 16, 8 and 4
        upsample='bilinear',  # or 'pixel_shuffle'
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
)
