"""Multi-scale deformable attention: https://arxiv.org/abs/2010.04159, section 4.1.

MMCV calls this on GPUs; on a CPU it uses its own PyTorch code.
"""

import torch
from torch import Tensor

from .gather import corners, weighted_rows


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Sum values at sampled points of all levels; the signature is that of ``mmcv._ext``.

    Args:
        value: Pixels of all levels, one level after the other, (B, S, heads, D).
        spatial_shapes: Height and width of each level, (L, 2).
        level_start_index: Where each level starts, (L,).
        sampling_locations: x and y, from 0 to 1 within the map, (B, Q, heads, L, points, 2).
        attention_weights: (B, Q, heads, L, points)
        im2col_step: Part of the batch that the compiled operator handles at once; not used here.

    Returns:
        (B, Q, heads * D)
    """
    return _attend(value, spatial_shapes, level_start_index, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Add to the gradients of value, locations and weights; shapes are as in the forward."""
    leaves = [t.detach().requires_grad_() for t in (value, sampling_locations, attention_weights)]
    with torch.enable_grad():
        output = _attend(leaves[0], spatial_shapes, level_start_index, *leaves[1:])
        grads = torch.autograd.grad(output, leaves, grad_output)
    for target, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads, strict=True):
        target.add_(grad)


def _attend(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    dtype = value.dtype
    if dtype in (torch.half, torch.bfloat16):
        value = value.float()
        sampling_locations, attention_weights = (
            sampling_locations.float(),
            attention_weights.float(),
        )
    batch, pixels, heads, dims = value.shape
    queries, levels, points = sampling_locations.shape[1], *sampling_locations.shape[3:5]
    height, width = (spatial_shapes[:, axis, None].to(value) for axis in (0, 1))  # (L, 1)
    x, y = (sampling_locations[..., i] * size - 0.5 for i, size in ((0, width), (1, height)))
    index, weights = corners(y, x, height, width)  # (B, Q, heads, L, points, 4)
    index = index + level_start_index[:, None, None]
    image = torch.arange(batch, device=value.device).view(-1, 1, 1, 1, 1, 1)
    head = torch.arange(heads, device=value.device).view(-1, 1, 1, 1)
    rows = ((image * pixels + index) * heads + head).flatten()
    weights = (weights * attention_weights[..., None]).flatten()
    starts = torch.arange(batch * queries * heads, device=value.device) * (levels * points * 4)
    # (B, S, heads, D) -> (B * S * heads, D)
    output = weighted_rows(value.reshape(-1, dims), rows, weights, starts)
    return output.view(batch, queries, heads * dims).to(dtype)
