_base_ = './ade20k_512.py'

# Your own data. A config that inherits from this one sets the values that differ once, at its top (or with
# --cfg-options), and the tools copy them to every place that needs them: docs/own_data.md.
dataset_type = 'BaseSegDataset'
classes = ('road', 'field', 'forest')  # the heads' num_classes is set from them
palette = None  # [[R, G, B], ...] of the classes; None: colours are chosen automatically
data_root = 'data/own'
img_suffix = '.jpg'  # also .png, .npy, .tif...
seg_map_suffix = '.png'
reduce_zero_label = (
    True  # label maps: 0 = unlabelled, 1 = first class; False: 0 = first class, 255 = unlabelled
)

# Folders under data_root. If a file of names (one per line, without suffix) is given, only these are read.
train_img_dir = 'images/training'
train_map_dir = 'annotations/training'
train_ann_file = ''
val_img_dir = 'images/validation'
val_map_dir = 'annotations/validation'
val_ann_file = ''
# test_img_dir, test_map_dir, test_ann_file: the same as val, unless set

# One value per channel of the images. The backbone's in_channels, the loading and the preprocessing are set
# from them. The order for colour images is R, G, B. These values are ImageNet's.
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
class_weight = None  # [...]: the weight of each class in the cross entropy

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file=train_ann_file,
        data_prefix=dict(img_path=train_img_dir, seg_map_path=train_map_dir),
        img_suffix=img_suffix,
        seg_map_suffix=seg_map_suffix,
        reduce_zero_label=reduce_zero_label,  # the same as for LoadAnnotations in the pipelines
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file=val_ann_file,
        data_prefix=dict(img_path=val_img_dir, seg_map_path=val_map_dir),
        img_suffix=img_suffix,
        seg_map_suffix=seg_map_suffix,
        reduce_zero_label=reduce_zero_label,
    )
)
test_dataloader = val_dataloader
