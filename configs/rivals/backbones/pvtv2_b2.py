# PVTv2-B2 as in MMDetection, except for drop path: there it is 0.1. The backbone comes from MMDetection.
channels = [64, 128, 320, 512]
backbone = dict(
    type='mmdet.PyramidVisionTransformerV2',
    embed_dims=64,
    num_layers=[3, 4, 6, 3],
    drop_path_rate=0.2,  # the end of a ramp: 0.1 on average, CoaT-Lite Small's rate
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/whai362/PVT/releases/download/v2/pvt_v2_b2.pth',
    ),
)
still = {}  # parameters without weight decay, besides the norms
custom_imports = dict(imports='mmdet.models', allow_failed_imports=False)
