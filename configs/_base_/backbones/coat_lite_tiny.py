# CoaT-Lite Tiny: its name, its ImageNet weights, and the channels of its maps at strides 4, 8, 16 and 32.
# A config puts `backbone` into its model, and passes `channels` to the modules that read the maps.
channels = [64, 128, 256, 320]
backbone = dict(
    arch='lite_tiny',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_lite_tiny_e88e96b0.pth',
    ),
)
