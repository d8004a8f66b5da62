"""CoaT as an encoder of segmentation_models_pytorch (smp): ``from mmcoat import smp; smp.register()``.

Only :func:`register` imports smp; the encoder is a plain module.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcoat import checkpoints
from mmcoat.arch import ARCH_ZOO
from mmcoat.errors import UsageError

from .backbones.coat import CoaT

MOST = 5  # smp's depth is the number of halvings: maps at strides 2, 4, 8, 16 and 32


class CoaTEncoder(nn.Module):
    """An encoder for smp's decoders: returns maps from the image itself down to stride 2 ** depth.

    CoaT has no map at stride 2. Like smp's own MiT, this returns a map with 0 channels there.

    Args:
        name: Name of the weights, ``coat_lite_small``... or ``coat_lite_medium_384``.
        depth: Number of halvings, from 2 to 5.
        output_stride: Stride of the coarsest map.

    Attributes:
        backbone: The :class:`CoaT`.

    Raises:
        ValueError: ``depth`` is out of range.
    """

    def __init__(self, name: str, depth: int = MOST, output_stride: int = 32):
        super().__init__()
        if not 2 <= depth <= MOST:
            raise ValueError(f'encoder_depth must be from 2 to {MOST} for CoaT, got {depth}')
        self.name, self.depth, self._output_stride = name, depth, output_stride
        self.set_in_channels(3)

    @property
    def out_channels(self) -> list[int]:
        """Channels of the maps, the image first."""
        return [self.backbone.in_channels, 0, *self.backbone.out_channels]

    @property
    def output_stride(self) -> int:
        """The coarsest stride of the maps."""
        return min(self._output_stride, 2**self.depth)

    def set_in_channels(self, in_channels: int, pretrained: bool = False) -> None:
        """Rebuild the (untrained) backbone for ``in_channels`` image channels; smp calls this first."""
        arch = self.name.removesuffix('_384').removeprefix('coat_')
        self.backbone = CoaT(arch, in_channels=in_channels, out_indices=range(self.depth - 1))

    def make_dilated(self, output_stride: int) -> None:
        """Limit the stride of all maps to ``output_stride``, for DeepLab.

        CoaT's patches do not overlap, so strides cannot be replaced by dilations: coarser maps are enlarged.
        """
        self._output_stride = output_stride

    def load_pretrained(self, source: str | None = None) -> None:
        """Load the published ImageNet weights, or a file or URL, strictly.

        Raises:
            CheckpointError: The weights cannot be fetched or do not fit.
        """
        checkpoints.load_backbone(self.backbone, source or f'mmcoat://{self.name}')

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(B, in_channels, H, W) -> the image, (B, 0, H/2, W/2), and CoaT's maps."""
        height, width = x.shape[-2:]
        maps = []
        for i, found in enumerate(self.backbone(x)):
            stride = min(4 * 2**i, self.output_stride)
            size = (height // stride, width // stride)
            if found.shape[-2:] != size:
                found = F.interpolate(found, size=size, mode='bilinear', align_corners=False)
            maps.append(found)
        nothing = torch.empty(
            x.shape[0], 0, height // 2, width // 2, dtype=x.dtype, device=x.device
        )
        return [x, nothing, *maps]


def register() -> list[str]:
    """Add all archs to smp's encoders and return their names.

    Raises:
        UsageError: segmentation_models_pytorch is not installed.
    """
    try:
        from segmentation_models_pytorch.encoders import encoders
    except ImportError as error:
        raise UsageError(
            f'segmentation_models_pytorch cannot be imported: {error}; '
            'pip install segmentation-models-pytorch'
        ) from None
    names = [*(f'coat_{arch}' for arch in ARCH_ZOO), 'coat_lite_medium_384']
    for name in names:
        encoders[name] = dict(encoder=CoaTEncoder, pretrained_settings={}, params=dict(name=name))
    return names
