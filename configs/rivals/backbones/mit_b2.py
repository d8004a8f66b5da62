# MiT-B2, SegFormer's backbone, as in MMSegmentation's SegFormer, except for drop path: there it is 0.1.
channels = [64, 128, 320, 512]
backbone = dict(
    type='MixVisionTransformer',
    embed_dims=64,
    num_stages=4,
    num_layers=[3, 4, 6, 3],
    num_heads=[1, 2, 5, 8],
    patch_sizes=[7, 3, 3, 3],
    sr_ratios=[8, 4, 2, 1],
    out_indices=(0, 1, 2, 3),
    mlp_ratio=4,
    qkv_bias=True,
    drop_path_rate=0.2,  # the end of a ramp: 0.1 on average, CoaT-Lite Small's rate
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
        'mit_b2_20220624-66e8bf70.pth',
    ),
)
still = {}  # parameters without weight decay, besides the norms
