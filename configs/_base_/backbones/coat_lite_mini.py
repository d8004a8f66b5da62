# CoaT-Lite Mini: its name, its ImageNet weights, and the channels of its maps at strides 4, 8, 16 and 32.
# A config puts `backbone` into its model, and passes `channels` to the modules that read the maps.
channels = [64, 128, 320, 512]
backbone = dict(
    arch='lite_mini',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_mini_6b4a8ae5.pth',
    ),
)
