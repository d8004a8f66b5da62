"""Modules that fix the sizes of the example when they are traced, and their replacements.

An exported program must be correct at every size that it accepts. Three things in the heads prevent this.
MMSegmentation's ``Upsample`` computes its size with floats, which tracing silently turns into constants.
Adaptive pooling has no form for unknown sizes. And a condition on sizes is decided while tracing.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ExportError

# Heads that were compared with PyTorch at sizes other than the exported one; tests/export
TESTED_HEADS = ('DAFormerHead', 'FPNHead', 'SegformerHead', 'UNetHead', 'UPerHead')


class ExactUpsample(nn.Module):
    """Enlarge (B, C, H, W) by an integer factor, computed with integers.

    Args:
        factor: Factor of height and width.
        mode: Of ``F.interpolate``.
        align_corners: Of ``F.interpolate``.
    """

    def __init__(self, factor: int, mode: str, align_corners: bool | None):
        super().__init__()
        self.factor, self.mode, self.align_corners = factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, factor H, factor W)."""
        size = (x.shape[2] * self.factor, x.shape[3] * self.factor)
        return F.interpolate(x, size=size, mode=self.mode, align_corners=self.align_corners)


class ExactPool(nn.Module):
    """Adaptive average pooling as two matrix products, whose matrices follow from the size of the map.

    Args:
        size: Height and width of the result.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, *size)."""
        if self.size == (1, 1):
            return x.mean((2, 3), keepdim=True)
        rows = bin_weights(x.shape[2], self.size[0], x)
        columns = bin_weights(x.shape[3], self.size[1], x)
        return rows @ x @ columns.transpose(0, 1)


class ExactUpBlock(nn.Module):
    """UNetHead's step without its check whether two sizes are equal, which tracing would fix.

    Args:
        block: The step; a map that already has the size is resized to the same size.
    """

    def __init__(self, block: nn.Module):
        super().__init__()
        self.up, self.convs = block.up, block.convs

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, in, h, w) and (B, skip, H, W) -> (B, out, H, W)."""
        x = F.interpolate(self.up(x), size=skip.shape[2:], mode='bilinear', align_corners=False)
        return self.convs(torch.cat([x, skip], dim=1))


def bin_weights(length: int, bins: int, like: Tensor) -> Tensor:
    """Return the averages of adaptive pooling as a matrix (bins, length).

    Bin i holds the positions from floor(i length / bins) up to ceil((i + 1) length / bins).
    """
    index = torch.arange(bins, device=like.device).view(-1, 1)
    position = torch.arange(length, device=like.device).view(1, -1)
    start = index * length // bins
    stop = ((index + 1) * length + bins - 1) // bins
    inside = ((position >= start) & (position < stop)).to(like.dtype)
    return inside / (stop - start).to(like.dtype)


def make_dynamic(part: nn.Module) -> None:
    """Replace, in place, the modules that would fix the sizes of the example.

    Raises:
        ExportError: A head was not tested, or there is no exact form of a module.
    """
    for module in part.modules():
        head = getattr(module, 'decode_head', None)
        if isinstance(head, nn.Module) and type(head).__name__ not in TESTED_HEADS:
            raise ExportError(
                f'{type(head).__name__}: not known to be right at other sizes than the exported one (known: '
                f'{", ".join(TESTED_HEADS)}); take --dynamic batch or none, or --part backbone'
            )
    _replace(part)


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        new = _exact_form(child)
        if new is None:
            _replace(child)
        else:
            setattr(module, name, new)


def _exact_form(module: Any) -> nn.Module | None:
    kind = type(module)
    if kind is nn.AdaptiveAvgPool2d:
        size = module.output_size
        size = size if isinstance(size, tuple) else (size, size)
        if None in size:
            raise ExportError(f'{module} keeps a size of the example; take --dynamic batch or none')
        return ExactPool(size)
    if kind.__name__ == 'UpBlock' and kind.__module__.startswith('mmcoat.'):
        return ExactUpBlock(module)
    if kind.__name__ == 'Upsample' and kind.__module__.startswith('mmseg.'):
        factor = module.scale_factor
        if module.size or not isinstance(factor, float) or not factor.is_integer():
            raise ExportError(
                f'an Upsample of size {module.size} and scale_factor {factor} keeps sizes of the example; '
                'take --dynamic batch or none'
            )
        return ExactUpsample(int(factor), module.mode, module.align_corners)
    return None
