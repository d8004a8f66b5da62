"""What the sampling operators share: weighted sums of rows of a table, and bilinear weights.

``embedding_bag`` is PyTorch's compiled weighted sum of rows. RoI align, deformable convolution and
deformable attention differ only in which rows they take and with which weights.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _WeightedRows(torch.autograd.Function):
    """``embedding_bag`` in mode 'sum', with a faster gradient of the table."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights, starts)
        return F.embedding_bag(rows, table, starts, mode='sum', per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        table, rows, weights, starts = ctx.saved_tensors
        grad = grad.contiguous()
        grad_table = grad_weights = None
        if ctx.needs_input_grad[0]:
            grad_table = scatter_rows(grad, rows, weights, starts, len(table))
        if ctx.needs_input_grad[2]:
            with torch.enable_grad():
                leaf = weights.detach().requires_grad_()
                output = F.embedding_bag(
                    rows, table.detach(), starts, mode='sum', per_sample_weights=leaf
                )
                (grad_weights,) = torch.autograd.grad(output, leaf, grad)
        return grad_table, None, grad_weights, None


def weighted_rows(table: Tensor, rows: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
    """Compute weighted sums of a table's rows: each row of the output is the sum of one bag of samples.

    Args:
        table: Rows of channels, (R, C).
        rows: The table's row that each sample reads, (S,), long.
        weights: Weight of each sample, (S,). Gradients flow to the weights and to the table.
        starts: Index of the first sample of each bag, (N,), long, ascending.

    Returns:
        (N, C); zeros where a bag is empty.
    """
    return _WeightedRows.apply(table, rows, weights, starts)


def scatter_rows(grad: Tensor, rows: Tensor, weights: Tensor, starts: Tensor, count: int) -> Tensor:
    """Return the gradient of the table from that of the output: weighted sums again, in the other direction.

    After sorting by row, the samples of one table row are a bag of output rows. So no gradient per sample is
    stored, and the sums have a fixed order, on a GPU too.

    Args:
        grad: Gradient of the output, (N, C).
        rows, weights, starts: As in :func:`weighted_rows`.
        count: Number of rows of the table, R.

    Returns:
        (R, C)
    """
    samples = torch.arange(len(rows), device=rows.device)
    bags = torch.searchsorted(starts, samples, right=True) - 1
    sorted_rows, order = rows.sort(stable=True)
    row_starts = torch.searchsorted(sorted_rows, torch.arange(count, device=rows.device))
    return F.embedding_bag(
        bags[order], grad, row_starts, mode='sum', per_sample_weights=weights[order].detach()
    )


def corners(
    y: Tensor, x: Tensor, height: Tensor | int, width: Tensor | int
) -> tuple[Tensor, Tensor]:
    """Return the four neighbours of points in a map with zeros around it, and their weights.

    Points at -1 or at the size and beyond count as outside: their weights and gradients are zero.

    Args:
        y, x: Points in pixels, (...); pixel centres are integers. Gradients flow to them.
        height, width: Size of the map, numbers or tensors that broadcast to (...).

    Returns:
        Index of the neighbours in the flattened map, (..., 4), long, and weights, (..., 4).
    """
    inside = (y > -1) & (y < height) & (x > -1) & (x < width)
    low_y, low_x = y.detach().floor(), x.detach().floor()
    part_y, part_x = y - low_y, x - low_x
    indices, weights = [], []
    for step_y, weight_y in ((0, 1 - part_y), (1, part_y)):
        for step_x, weight_x in ((0, 1 - part_x), (1, part_x)):
            row, column = low_y + step_y, low_x + step_x
            valid = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            indices.append(torch.where(valid, row * width + column, 0))
            weights.append(torch.where(valid, weight_y * weight_x, 0))
    return torch.stack(indices, -1).long(), torch.stack(weights, -1)
