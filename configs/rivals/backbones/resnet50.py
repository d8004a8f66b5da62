# ResNet-50 as in MMSegmentation's UPerNet (with the stem of ResNet-V1c); it has no drop path.
channels = [256, 512, 1024, 2048]
backbone = dict(
    type='ResNetV1c',
    depth=50,
    num_stages=4,
    out_indices=(0, 1, 2, 3),
    strides=(1, 2, 2, 2),
    dilations=(1, 1, 1, 1),
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    norm_eval=False,
    style='pytorch',
    contract_dilation=True,
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c'),
)
still = {}  # parameters without weight decay, besides the norms
