# DRIVE, the vessels of the retina in 20 + 20 images of 584 x 565, as MMSegmentation's
# _base_/datasets/drive.py but for the crop: its 64 x 64 for U-Net would leave 2 x 2 positions at stride 32,
# so this takes the 256 of its HRF. The layout that is expected:
#   images/{training,validation}/*.png    annotations/{training,validation}/*_manual1.png
_base_ = './segmentation.py'

dataset_type = 'DRIVEDataset'
data_root = 'data/DRIVE'
crop_size = (256, 256)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(584, 565), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(584, 565), keep_ratio=True),
    # after Resize: predictions are compared at the annotation's own size
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

# Dice is what is reported on vessels; the table in the log has it for each class
val_evaluator = dict(iou_metrics=['mDice', 'mIoU'])
test_evaluator = val_evaluator
