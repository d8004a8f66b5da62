# DRIVE: vessels of the retina, 20 + 20 images of 584 x 565, as in MMSegmentation's _base_/datasets/drive.py
# except for the crop. Its crop of 64 x 64 for U-Net would leave 2 x 2 positions at stride 32, so the crop
# here is 256 x 256, as in MMSegmentation's HRF. Expected layout under data_root:
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
    # after Resize, because predictions are compared with the annotation at its original size
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

# Dice is the usual score for vessels; the table in the log has it for each class
val_evaluator = dict(iou_metrics=['mDice', 'mIoU'])
test_evaluator = val_evaluator
