# Settings that the detectors share: preprocessing, and the backbone, whose variant comes from backbones/.
model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='mmcoat.CoaT',
        out_indices=(1, 2, 3),
        # NOTE: chosen here. MMDetection trains Swin-T with 0.2, which is the end of a ramp over depth; the
        # mean is 0.1. CoaT's rate is the same in every block. Small uses 0.2, the authors' own rate on COCO.
        drop_path_rate=0.1,
    ),
)
