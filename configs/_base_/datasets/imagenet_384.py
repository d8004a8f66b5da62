# The same at 384 x 384. The authors resize the short edge to int(256 / 224 * 384) and crop. timm resizes the
# whole image to 384 x 384 instead, without keeping its aspect ratio:
#   --cfg-options test_dataloader.dataset.pipeline.1.type=Resize
#                 "test_dataloader.dataset.pipeline.1.scale=(384,384)"
_base_ = './imagenet_224.py'

_base_.train_dataloader.dataset.pipeline[1].scale = 384
for _loader in (_base_.val_dataloader, _base_.test_dataloader):
    _loader.dataset.pipeline[1].scale = 438
    _loader.dataset.pipeline[2].crop_size = 384
del _loader  # otherwise it would stay in the config
