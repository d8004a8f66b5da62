"""Deformable convolution (https://arxiv.org/abs/1703.06211) and modulated (https://arxiv.org/abs/1811.11168)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .gather import corners, weighted_rows


class _Window(NamedTuple):
    """The settings of a convolution besides its weight; each pair is (height, width)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    offset_groups: int


def modulated_deform_conv_forward(
    maps: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    *,
    with_bias: bool,
    **window: int,
) -> None:
    """Convolve at shifted points, each with a factor; the signature is that of ``mmcv._ext``.

    Args:
        maps: (B, C, H, W)
        weight: (O, C / groups, h, w)
        bias: (O,); used only with ``with_bias``.
        ones, columns: Buffers for the compiled operator; not used here.
        offset: Shift of each point, y and x, (B, offset groups * h * w * 2, H', W').
        mask: Factor of each point, (B, offset groups * h * w, H', W').
        output: Receives the result, (B, O, H', W').
        with_bias: Whether the bias is added.
        window: kernel_h and kernel_w, stride_h, ..., dilation_w in MMCV's order; then group,
            deformable_group.
    """
    result = _convolve(maps, weight, offset, mask, _modulated_window(window))
    output.copy_(result + bias[:, None, None] if with_bias else result)


def modulated_deform_conv_backward(
    maps: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    *,
    with_bias: bool,
    **window: int,
) -> None:
    """Add to the gradients; shapes are as in the forward."""
    grads = _gradients((maps, weight, offset, mask), grad_output, _modulated_window(window))
    for target, grad in zip((grad_input, grad_weight, grad_offset, grad_mask), grads, strict=True):
        target.add_(grad)
    if with_bias:
        grad_bias.add_(grad_output.sum((0, 2, 3)))


def deform_conv_forward(
    maps: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    im2col_step: int,
    **window: int,
) -> None:
    """Convolve at shifted points: the modulated form without factors and bias.

    ``window`` holds kH, dH (stride), padH, dilationH and the same with W, group, deformable_group.
    """
    output.copy_(_convolve(maps, weight, offset, None, _plain_window(window)))


def deform_conv_backward_input(
    maps: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    *,
    im2col_step: int,
    **window: int,
) -> None:
    """Add to the gradients of maps and offset."""
    grads = _gradients(
        (maps, weight, offset, None), grad_output, _plain_window(window), (True, False, True)
    )
    grad_input.add_(grads[0])
    grad_offset.add_(grads[1])


def deform_conv_backward_parameters(
    maps: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    scale: float,
    im2col_step: int,
    **window: int,
) -> None:
    """Add ``scale`` times the gradient of the weight."""
    grads = _gradients(
        (maps, grad_weight, offset, None),
        grad_output,
        _plain_window(window),
        (False, True, False),
    )
    grad_weight.add_(grads[0], alpha=scale)


def _modulated_window(window: dict[str, int]) -> _Window:
    stride, padding, dilation = (
        (window[f'{name}_h'], window[f'{name}_w']) for name in ('stride', 'pad', 'dilation')
    )
    return _Window(stride, padding, dilation, window['group'], window['deformable_group'])


def _plain_window(window: dict[str, int]) -> _Window:
    stride, padding, dilation = (
        (window[f'{name}H'], window[f'{name}W']) for name in ('d', 'pad', 'dilation')
    )
    return _Window(stride, padding, dilation, window['group'], window['deformable_group'])


def _convolve(
    maps: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, window: _Window
) -> Tensor:
    """Return the convolution without bias, (B, O, H', W'); differentiable."""
    dtype = maps.dtype
    if dtype in (torch.half, torch.bfloat16):
        maps, weight, offset = maps.float(), weight.float(), offset.float()
        mask = None if mask is None else mask.float()
    kernel = weight.shape[2:]
    columns = _columns(maps, offset, mask, kernel, window)  # (B * L, G, K, C / G)
    groups, out_channels = window.groups, len(weight)
    if groups == 1:
        # (O, C, h, w) -> (G, K, C / G, O), flattened except for O
        weight = weight.reshape(out_channels, window.offset_groups, -1, columns.shape[2])
        result = columns.flatten(1) @ weight.permute(1, 3, 2, 0).reshape(-1, out_channels)
    else:
        # (N, G, K, C / G) -> (N, groups, C / groups * K)
        columns = columns.transpose(2, 3).reshape(len(columns), groups, -1)
        weight = weight.reshape(groups, out_channels // groups, -1)
        result = torch.einsum('ngi,goi->ngo', columns, weight).flatten(1)
    # (B * L, O) -> (B, O, H', W')
    size = _output_size(maps, kernel, window)
    return result.view(len(maps), *size, out_channels).permute(0, 3, 1, 2).to(dtype)


def _columns(
    maps: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    kernel: torch.Size,
    window: _Window,
) -> Tensor:
    """Return the input values at the K = h * w points of each output pixel, (B * H' * W', G, K, C / G)."""
    batch, channels, height, width = maps.shape
    groups, size = window.offset_groups, _output_size(maps, kernel, window)
    # (B, C, H, W) -> (B * G * H * W, C / G)
    table = maps.reshape(batch, groups, -1, height * width).transpose(2, 3)
    table = table.reshape(-1, channels // groups)
    shape = (groups, kernel[0] * kernel[1])
    shifts = _per_point(offset, (*shape, 2, *size))
    y, x = (_grid(shifts, axis, kernel, window) + shifts[..., axis] for axis in (0, 1))
    index, weights = corners(y, x, height, width)  # (B, H', W', G, K, 4)
    if mask is not None:
        weights = weights * _per_point(mask, (*shape, 1, *size))
    image = torch.arange(batch * groups, device=maps.device).view(batch, 1, 1, groups, 1, 1)
    rows = (image * (height * width) + index).flatten()
    starts = torch.arange(0, len(rows), 4, device=maps.device)
    columns = weighted_rows(table, rows, weights.flatten(), starts)
    return columns.view(-1, *shape, channels // groups)


def _output_size(maps: Tensor, kernel: torch.Size, window: _Window) -> list[int]:
    """Return H' and W'."""
    return [
        (maps.shape[2 + i] + 2 * window.padding[i] - window.dilation[i] * (kernel[i] - 1) - 1)
        // window.stride[i]
        + 1
        for i in (0, 1)
    ]


def _per_point(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the values for the points of each output pixel.

    NOTE: DyHead passes offsets and factors of a map that is larger than the output. The compiled operator
    reads them as if they had the output's size: it takes the first numbers of each image's memory. Detectors
    are trained with this behaviour, so this function does the same.

    Args:
        values: Offsets or factors, (B, ...).
        shape: G, K, n, H', W': the shape in which each image's numbers are read.

    Returns:
        (B, H', W', G, K, n)

    Raises:
        ValueError: There are fewer numbers than points.
    """
    flat, wanted = values.flatten(1), math.prod(shape)
    if flat.shape[1] < wanted:
        raise ValueError(
            f'offsets or factors of shape {tuple(values.shape)} are too few: G, K, n, height and '
            f'width of the output are {tuple(shape)}'
        )
    return flat[:, :wanted].view(-1, *shape).permute(0, 4, 5, 1, 2, 3)


def _grid(shifts: Tensor, axis: int, kernel: torch.Size, window: _Window) -> Tensor:
    """Return the positions of the unshifted points on one axis, (H', 1, 1, K) or (1, W', 1, K)."""
    count = shifts.shape[1 + axis]
    start = torch.arange(count, device=shifts.device) * window.stride[axis] - window.padding[axis]
    point = torch.arange(kernel[0] * kernel[1], device=shifts.device)
    step = (point // kernel[1], point % kernel[1])[axis] * window.dilation[axis]
    shape = [1, 1, 1]
    shape[axis] = count
    return start.view(*shape, 1) + step


def _gradients(
    tensors: tuple[Tensor | None, ...],
    grad_output: Tensor,
    window: _Window,
    wanted: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Tensor, ...]:
    """Return the requested gradients among those of maps, weight, offset and mask."""
    flags = (*wanted, False)[:4]
    leaves = [
        t if t is None else t.detach().requires_grad_(flag)
        for t, flag in zip(tensors, flags, strict=True)
    ]
    with torch.enable_grad():
        output = _convolve(*leaves, window)
        needed = [t for t in leaves if t is not None and t.requires_grad]
        return torch.autograd.grad(output, needed, grad_output)
