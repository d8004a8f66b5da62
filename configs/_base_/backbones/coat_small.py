# CoaT Small: its name, its ImageNet weights, and the channels of its maps at strides 4, 8, 16 and 32.
# A config puts `backbone` into its model, and passes `channels` to the modules that read the maps.
channels = [152, 320, 320, 320]
backbone = dict(
    arch='small',
    init_cfg=dict(
        type='Pretrained', checkpoint='https://vcl.ucsd.edu/coat/pretrained/coat_small_7479cf9b.pth'
    ),
)
