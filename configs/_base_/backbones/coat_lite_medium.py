# CoaT-Lite Medium: its name, its ImageNet weights, and the channels of its maps at strides 4, 8, 16 and 32.
# A config puts `backbone` into its model, and passes `channels` to the modules that read the maps.
channels = [128, 256, 320, 512]
backbone = dict(
    arch='lite_medium',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_medium_a750cd63.pth',
    ),
)
