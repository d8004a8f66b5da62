# ConvNeXt-T as in MMSegmentation's UPerNet, except for drop path: there it is 0.4, ConvNeXt's own recipe.
# The backbone comes from MMPretrain.
channels = [96, 192, 384, 768]
backbone = dict(
    type='mmpretrain.ConvNeXt',
    arch='tiny',
    out_indices=[0, 1, 2, 3],
    drop_path_rate=0.2,  # the end of a ramp: 0.1 on average, CoaT-Lite Small's rate
    layer_scale_init_value=1.0,
    gap_before_final_norm=False,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/convnext/downstream/'
        'convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth',
        prefix='backbone.',
    ),
)
still = {}  # parameters without weight decay, besides the norms
custom_imports = dict(imports='mmpretrain.models', allow_failed_imports=False)
