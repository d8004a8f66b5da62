"""RoI align: https://arxiv.org/abs/1703.06870, section 3."""

import torch
from torch import Tensor

from .gather import scatter_rows, weighted_rows
from .vision import torchvision_ops

MAX, AVG = 0, 1
EMPTY = -10000.0  # what MMCV's max pooling returns for a bin without samples


def roi_align_forward(
    maps: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool a map within boxes; the signature is that of ``mmcv._ext``.

    Args:
        maps: (B, C, H, W)
        rois: Index of the image and box x1, y1, x2, y2 in the image's pixels, (N, 5).
        output: Receives the result, (N, C, aligned_height, aligned_width).
        argmax_y, argmax_x: With max pooling, receive the position of each maximum; shape as ``output``.
        aligned_height, aligned_width: Number of bins.
        spatial_scale: Pixels of the map per pixel of the image.
        sampling_ratio: Points per bin and direction; 0 takes one per pixel of the map.
        pool_mode: 0 for the maximum, 1 for the mean.
        aligned: Whether pixel centres are at half-integers.
    """
    size = (aligned_height, aligned_width)
    vision = torchvision_ops(maps.device.type)
    if vision is not None and pool_mode == AVG:
        output.copy_(
            vision.roi_align(
                maps, rois.to(maps.dtype), size, spatial_scale, sampling_ratio, aligned
            )
        )
        return
    wide = maps.float() if maps.dtype in (torch.half, torch.bfloat16) else maps
    points = _Points(rois.to(wide.dtype), size, spatial_scale, sampling_ratio, aligned)
    if pool_mode == AVG:
        output.copy_(_to_maps(_average(wide, points), output))
        return
    for target, values in zip((output, argmax_y, argmax_x), _maximum(wide, points), strict=True):
        target.copy_(_to_maps(values, output))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add to the gradient of the map, (B, C, H, W); the other arguments are as in the forward."""
    wide = grad_output.dtype in (torch.half, torch.bfloat16)
    grad = grad_output.float() if wide else grad_output
    size = (aligned_height, aligned_width)
    batch, channels, height, width = grad_input.shape
    if pool_mode == MAX:
        grad_input.add_(
            _maximum_backward(grad, rois, argmax_y.to(grad), argmax_x.to(grad), grad_input.shape)
        )
        return
    points = _Points(rois.to(grad.dtype), size, spatial_scale, sampling_ratio, aligned)
    rows, weights, starts = points.plan(height, width)
    # (N, C, h, w) -> (N * h * w, C)
    flat = grad.permute(0, 2, 3, 1).reshape(-1, channels)
    grad_table = scatter_rows(flat, rows, weights, starts, batch * height * width)
    grad_input.add_(grad_table.view(batch, height, width, channels).permute(0, 3, 1, 2))


class _Points:
    """The sampled points of all boxes in one list: box by box, bin by bin.

    Args:
        rois: (N, 5)
        size: Number of bins, height and width.
    """

    def __init__(
        self,
        rois: Tensor,
        size: tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool,
    ) -> None:
        shift = 0.5 if aligned else 0.0
        boxes = rois[:, 1:] * spatial_scale - shift
        extents = boxes[:, 2:] - boxes[:, :2]  # width, height
        if not aligned:
            extents = extents.clamp(min=1)
        bins = extents / extents.new_tensor(size[::-1])
        grid = bins.ceil().clamp(min=0).long()
        if sampling_ratio > 0:
            grid = torch.full_like(grid, sampling_ratio)
        per_bin = (grid[:, 0] * grid[:, 1]).repeat_interleave(size[0] * size[1])
        self.ends = per_bin.cumsum(0)
        self.starts = self.ends - per_bin
        self.bin = torch.repeat_interleave(per_bin)  # of each point, (S,)
        self.box = self.bin // (size[0] * size[1])
        inner = torch.arange(len(self.bin), device=rois.device) - self.starts[self.bin]
        columns = grid[self.box, 0]
        place = self.bin % (size[0] * size[1])
        self.y, self.x = (
            boxes[self.box, axis] + bin_ * bins[self.box, axis]
            + (step + 0.5) * bins[self.box, axis] / grid[self.box, axis]
            for axis, bin_, step in (
                (1, place // size[1], inner // columns),
                (0, place % size[1], inner % columns),
            )
        )  # fmt: skip
        self.image = rois[self.box, 0].long()
        self.count = per_bin[self.bin]

    def plan(self, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows and weights of the points' neighbours for the mean, and the start index of each bin."""
        rows, weights = _neighbours(self.y, self.x, self.image, height, width)
        weights = weights / self.count[:, None]
        return rows.flatten(), weights.flatten(), 4 * self.starts


def _neighbours(
    y: Tensor, x: Tensor, image: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return the four neighbours of points in maps that are extended by one pixel beyond their border.

    Args:
        y, x, image: (S,)

    Returns:
        Rows of the table (B * H * W, C), (S, 4), and weights, (S, 4).
    """
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    sides = []
    for value, size in ((y, height), (x, width)):
        value = value.clamp(0, size - 1)
        low = value.floor()
        high = (low + 1).clamp(max=size - 1)
        sides.append(((low.long(), 1 - (value - low)), (high.long(), value - low)))
    rows, weights = [], []
    for row, weight_y in sides[0]:
        for column, weight_x in sides[1]:
            rows.append((image * height + row) * width + column)
            weights.append(weight_y * weight_x * inside)
    return torch.stack(rows, -1), torch.stack(weights, -1)


def _table(maps: Tensor) -> Tensor:
    # (B, C, H, W) -> (B * H * W, C)
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _to_maps(rows: Tensor, output: Tensor) -> Tensor:
    # (N * h * w, C) -> (N, C, h, w)
    count, channels, height, width = output.shape
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)


def _average(maps: Tensor, points: _Points) -> Tensor:
    return weighted_rows(_table(maps), *points.plan(*maps.shape[2:]))


def _maximum(maps: Tensor, points: _Points) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maximum of each bin and its point, each (N * h * w, C)."""
    channels, bins = maps.shape[1], len(points.starts)
    rows, weights = _neighbours(points.y, points.x, points.image, *maps.shape[2:])
    starts = torch.arange(len(rows), device=maps.device) * 4
    values = weighted_rows(_table(maps), rows.flatten(), weights.flatten(), starts)  # (S, C)
    where = points.bin[:, None].expand(-1, channels)
    best = maps.new_full((bins, channels), EMPTY).scatter_reduce(0, where, values, 'amax')
    index = torch.arange(len(values), device=maps.device)[:, None]
    candidates = torch.where(values == best[points.bin], index, len(values))
    first = torch.full_like(best, len(values), dtype=torch.long)
    first = first.scatter_reduce(0, where, candidates, 'amin')
    nowhere = maps.new_full((1,), -1)
    return best, torch.cat([points.y, nowhere])[first], torch.cat([points.x, nowhere])[first]


def _maximum_backward(
    grad: Tensor, rois: Tensor, y: Tensor, x: Tensor, shape: torch.Size
) -> Tensor:
    """Return the gradient of the map, (B, C, H, W): a bin's part goes to the neighbours of its maximum."""
    batch, channels, height, width = shape
    image = rois[:, 0].long()[:, None, None, None].expand(y.shape)
    rows, weights = _neighbours(y.flatten(), x.flatten(), image.flatten(), height, width)
    channel = torch.arange(channels, device=grad.device)[:, None, None].expand(y.shape).flatten()
    weights = weights * (y != -1).flatten()[:, None] * grad.flatten()[:, None]
    flat = grad.new_zeros(batch * height * width * channels)
    flat.index_add_(0, (rows * channels + channel[:, None]).flatten(), weights.flatten())
    return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)
