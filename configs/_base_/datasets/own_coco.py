_base_ = './coco_instance.py'

# Your own objects in COCO's format. A config that inherits from this one sets the values that differ once, at
# its top (or with --cfg-options), and the tools copy them to every place that needs them: docs/own_data.md.
classes = (
    'car',
    'person',
    'boat',
)  # names of categories in the annotation files; num_classes is set from them
palette = None  # [[R, G, B], ...] of the classes; None: colours are chosen automatically
data_root = 'data/own_coco'

# Under data_root
train_ann_file = 'annotations/train.json'
train_img_dir = 'train'
val_ann_file = 'annotations/val.json'
val_img_dir = 'val'
# test_ann_file, test_img_dir: the same as val, unless set

# One value per channel of the images. The backbone's in_channels, the loading and the preprocessing are set
# from them. The order for colour images is R, G, B. These values are ImageNet's.
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]

train_dataloader = dict(
    dataset=dict(
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file=train_ann_file,
        data_prefix=dict(img=train_img_dir),
    )
)
val_dataloader = dict(
    dataset=dict(
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file=val_ann_file,
        data_prefix=dict(img=val_img_dir),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=f'{data_root}/{val_ann_file}')
test_evaluator = val_evaluator
