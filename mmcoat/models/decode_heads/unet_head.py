"""U-Net's decoder over any number of scales (Ronneberger et al., MICCAI 2015, arXiv 1505.04597)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

UPSAMPLES = ('bilinear', 'pixel_shuffle')


class UpBlock(nn.Module):
    """Enlarge a map to the size of the next finer one, concatenate the two, and apply two convolutions.

    Args:
        in_channels: Channels of the coarse map.
        skip_channels: Channels of the finer map.
        out_channels: Channels of the result.
        upsample: ``'bilinear'``, or ``'pixel_shuffle'`` (a 1x1 convolution to four times the channels, which
            then become 2 x 2 positions).
        conv_cfg: ``norm_cfg`` and ``act_cfg`` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        upsample: str,
        **conv_cfg: Any,
    ):
        super().__init__()
        self.up = nn.Identity()
        if upsample == 'pixel_shuffle':
            self.up = nn.Sequential(nn.Conv2d(in_channels, 4 * in_channels, 1), nn.PixelShuffle(2))
        self.convs = nn.Sequential(
            ConvModule(in_channels + skip_channels, out_channels, 3, padding=1, **conv_cfg),
            ConvModule(out_channels, out_channels, 3, padding=1, **conv_cfg),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, in, h, w) and (B, skip, H, W) -> (B, out, H, W); sizes need not be multiples."""
        x = self.up(x)
        if x.shape[2:] != skip.shape[2:]:
            x = F.interpolate(x, size=skip.shape[2:], mode='bilinear', align_corners=False)
        return self.convs(torch.cat([x, skip], dim=1))


class UNetHead(BaseDecodeHead):
    """Decode from the coarsest map to the finest, with a skip connection at each scale.

    Args:
        in_channels: Channels of the maps, finest first; two or more maps.
        decoder_channels: Channels of each step's result, coarsest step first; one entry less than maps.
        upsample: ``'bilinear'`` or ``'pixel_shuffle'``.
        **settings: Settings of MMSegmentation's ``BaseDecodeHead``: in_index, num_classes, norm_cfg,
            loss_decode... ``channels`` is the last of ``decoder_channels`` and can be left out.

    Raises:
        ValueError: The numbers of channels do not fit together, or ``upsample`` is unknown.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        decoder_channels: Sequence[int] = (256, 128, 64),
        upsample: str = 'bilinear',
        **settings: Any,
    ):
        if len(in_channels) < 2 or len(decoder_channels) != len(in_channels) - 1:
            raise ValueError(
                'UNetHead needs two maps or more and one entry of decoder_channels less than maps, got '
                f'in_channels {list(in_channels)} and decoder_channels {list(decoder_channels)}'
            )
        if upsample not in UPSAMPLES:
            raise ValueError(f'upsample must be one of {UPSAMPLES}, got {upsample!r}')
        settings.setdefault('channels', decoder_channels[-1])
        settings.setdefault('in_index', list(range(len(in_channels))))
        super().__init__(list(in_channels), input_transform='multiple_select', **settings)
        if self.channels != decoder_channels[-1]:
            raise ValueError(
                f'channels must be the last of decoder_channels {list(decoder_channels)}, '
                f'got {self.channels}'
            )
        conv_cfg = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.blocks = nn.ModuleList()
        coarse = in_channels[-1]
        for skip, out in zip(reversed(in_channels[:-1]), decoder_channels, strict=True):
            self.blocks.append(UpBlock(coarse, skip, out, upsample, **conv_cfg))
            coarse = out

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Maps (B, Ci, Hi, Wi), finest first -> class scores (B, num_classes, H0, W0)."""
        *skips, x = self._transform_inputs(inputs)
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(x, skip)
        return self.cls_seg(x)
