_base_ = './drive.py'

# DRIVE's folders, but label maps of two masks that may overlap: bit i of a pixel is set where mask i is, so 3
# is in both. Drawn by tools/make_synthetic_dataset.py drive_multilabel; write your own masks in this form.
dataset_type = 'BaseSegDataset'  # MMSegmentation's class for DRIVE knows one mask, the vessels
_masks = dict(
    type=dataset_type,
    # a name for each value: mask 0 is what lives (trees, people), mask 1 who uses the road (people, cars)
    metainfo=dict(classes=('neither', 'living', 'road user', 'both')),
    img_suffix='.png',
    seg_map_suffix='_manual1.png',
)
train_dataloader = dict(dataset=_masks)
val_dataloader = dict(dataset=_masks)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmcoat.ThresholdSearch', labels='bits')
