_base_ = './mask2former_lsj_50e_coco.py'

# Mask2Former's semantic recipe on ADE20K.
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=160000, by_epoch=False)]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=160000, val_interval=5000)
