# Swin-T as in MMSegmentation's UPerNet, except for drop path: there it is 0.3, Swin's own recipe.
channels = [96, 192, 384, 768]
backbone = dict(
    type='SwinTransformer',
    embed_dims=96,
    depths=[2, 2, 6, 2],
    num_heads=[3, 6, 12, 24],
    window_size=7,
    drop_path_rate=0.2,  # the end of a ramp: 0.1 on average, CoaT-Lite Small's rate
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
        'swin_tiny_patch4_window7_224_20220317-1cdeb081.pth',
    ),
)
still = {
    'absolute_pos_embed': dict(decay_mult=0.0),
    'relative_position_bias_table': dict(decay_mult=0.0),
}  # parameters without weight decay, besides the norms
