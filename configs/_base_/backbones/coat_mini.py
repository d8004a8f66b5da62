# CoaT Mini: its name, its ImageNet weights, and the channels of its maps at strides 4, 8, 16 and 32.
# A config puts `backbone` into its model, and passes `channels` to the modules that read the maps.
channels = [152, 216, 216, 216]
backbone = dict(
    arch='mini',
    init_cfg=dict(
        type='Pretrained', checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_mini_40667eec.pth'
    ),
)
