_base_ = './drive.py'

# DRIVE's folders, but with label maps of two masks that may overlap. A pixel of mask i has bit i set, so the
# value 3 is in both masks. `tools/make_synthetic_dataset.py drive_multilabel` draws such a set; write your
# own masks in the same form.
dataset_type = 'BaseSegDataset'  # MMSegmentation's class for DRIVE has only one mask, the vessels
_masks = dict(
    type=dataset_type,
    # a name for each value: mask 0 is living things (trees, people), mask 1 is road users (people, cars)
    metainfo=dict(classes=('neither', 'living', 'road user', 'both')),
    img_suffix='.png',
    seg_map_suffix='_manual1.png',
)
train_dataloader = dict(dataset=_masks)
val_dataloader = dict(dataset=_masks)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmcoat.ThresholdSearch', labels='bits')
