_base_ = './ade20k_512.py'

# Your own classes, in ADE20K's layout of folders. A config that inherits from this one sets at its top what
# differs: metainfo, num_classes (of the model), data_root and crop_size; tools/ carry them to every place.
#   label maps: 0 = unlabelled, 1 = the first class, 2 = the second...
metainfo = dict(
    classes=('road', 'field', 'forest'),
    palette=[[128, 64, 128], [152, 251, 152], [0, 100, 0]],
)
data_root = 'data/own'
_own = dict(
    type='BaseSegDataset',
    metainfo=metainfo,
    data_root=data_root,
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=True,  # as LoadAnnotations in the pipelines
)
train_dataloader = dict(dataset=_own)
val_dataloader = dict(dataset=_own)
test_dataloader = dict(dataset=_own)
