"""DAFormer's decoder: context-aware fusion of all scales (Hoyer et al., CVPR 2022, arXiv 2111.14887)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from torch import Tensor, nn


class DAFormerHead(BaseDecodeHead):
    """Embed each scale, enlarge all to the finest scale, and fuse them with a depthwise separable ASPP.

    Args:
        in_channels: Channels of the maps, finest scale first.
        embed_dims: Channels of each embedded map.
        dilations: Dilations of the ASPP's branches; 1 is a 1x1 convolution.
        channels: Channels of the fused map.
        **settings: Settings of MMSegmentation's ``BaseDecodeHead``: in_index, num_classes, norm_cfg,
            loss_decode...
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        embed_dims: int = 256,
        dilations: Sequence[int] = (1, 6, 12, 18),
        channels: int = 256,
        **settings: Any,
    ):
        settings.setdefault('in_index', list(range(len(in_channels))))
        super().__init__(
            list(in_channels), channels=channels, input_transform='multiple_select', **settings
        )
        conv_cfg = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.embeds = nn.ModuleList(nn.Conv2d(width, embed_dims, 1) for width in in_channels)
        self.aspp = DepthwiseSeparableASPPModule(
            dilations=tuple(dilations),
            in_channels=embed_dims * len(in_channels),
            channels=channels,
            conv_cfg=None,
            **conv_cfg,
        )
        self.fuse = ConvModule(channels * len(dilations), channels, 3, padding=1, **conv_cfg)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Maps (B, Ci, Hi, Wi), finest first -> class scores (B, num_classes, H0, W0)."""
        maps = self._transform_inputs(inputs)
        size = maps[0].shape[2:]
        embedded = [
            F.interpolate(embed(x), size=size, mode='bilinear', align_corners=False)
            for embed, x in zip(self.embeds, maps, strict=True)
        ]
        branches = self.aspp(torch.cat(embedded, dim=1))
        return self.cls_seg(self.fuse(torch.cat(branches, dim=1)))
