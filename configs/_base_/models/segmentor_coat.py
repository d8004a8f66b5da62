# Settings that the segmentors share: preprocessing, and the backbone, whose variant comes from backbones/.
norm_cfg = dict(type='SyncBN', requires_grad=True)  # tools/ use BN on one device or CPU
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
        test_cfg=dict(size_divisor=32),  # without it MMSegmentation does not pad test images
    ),
    backbone=dict(
        type='mmcoat.CoaT',
        out_indices=(0, 1, 2, 3),
        # NOTE: chosen here, because there is no official CoaT segmentation. Swin's rate is the end of a ramp
        # over depth; CoaT's rate is the same in every block, so it is half of Swin's. Swin-T has 0.2 on
        # ImageNet, hence 0.1; Swin-S has 0.3, hence 0.15 for Small. But on ADE20K Small and Lite Medium use
        # 0.2, the authors' own rate for Small on COCO.
        drop_path_rate=0.1,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
