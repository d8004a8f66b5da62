_base_ = './segmentor_coat.py'

# DAFormer's decoder with its authors' settings (arXiv 2111.14887, section 3.2), here trained with full
# supervision.
norm_cfg = dict(type='SyncBN', requires_grad=True)
num_classes = 150
model = dict(
    decode_head=dict(
        type='mmcoat.DAFormerHead',
        embed_dims=256,
        channels=256,
        dilations=(1, 6, 12, 18),
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
)
