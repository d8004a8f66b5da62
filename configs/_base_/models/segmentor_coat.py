# What the segmentors share: preprocessing and the backbone, whose variant comes from backbones/.
norm_cfg = dict(type='SyncBN', requires_grad=True)  # tools/ turn it into BN on one device or CPU
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
        test_cfg=dict(size_divisor=32),  # without it MMSegmentation pads no test image
    ),
    backbone=dict(
        type='mmcoat.CoaT',
        out_indices=(0, 1, 2, 3),
        # NOTE: chosen here, not official: there is no official CoaT segmentation. By CoaT's rule, half of
        # where a ramp of Swin's ends: on ImageNet Swin-T's at 0.2, and Swin-S's at 0.3, hence 0.15 for
        # Small. But on ADE20K Small and Lite Medium take 0.2, the authors' own for Small on COCO.
        drop_path_rate=0.1,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
