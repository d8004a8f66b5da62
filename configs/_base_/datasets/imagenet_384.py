# The same at 384 x 384, with the same crop ratio of 0.9: int(384 / 0.9) = 426. The authors' script resizes
# to 438; timm squashes the whole picture to 384 x 384.
_base_ = './imagenet_224.py'

_base_.train_dataloader.dataset.pipeline[1].scale = 384
for _loader in (_base_.val_dataloader, _base_.test_dataloader):
    _loader.dataset.pipeline[1].scale = 426
    _loader.dataset.pipeline[2].crop_size = 384
del _loader  # it would stay in the config
