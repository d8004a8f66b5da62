_base_ = './coat_lite_medium_384.py'

# A fifth scale at stride 64. The paper has no fifth scale, so its size is chosen here and there are no
# weights for it. `new_stages` allows the fifth scale to start untrained, after four pretrained ones.
channels = [128, 256, 320, 512, 512]
backbone = dict(
    arch=dict(
        _delete_=True,
        embed_dims=channels,
        serial_depths=[3, 6, 10, 8, 2],
        mlp_ratios=[4, 4, 4, 4, 4],
        num_heads=8,
        parallel_depth=0,
        parallel_stages=[],
    ),
    out_indices=(0, 1, 2, 3, 4),
    init_cfg=dict(new_stages=True),
)
