"""The core of the conv-attention: ``Q (softmax(K)^T V)`` plus the relative position encoding."""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import tuning
from .kernels.attention import attention_grad_kernel, attention_kernel
from .kernels.context import join_context_kernel, join_grad_kernel, token_product_kernel
from .launching import define, launch, wrap_triton
from .pack_filters import PackedFilters, pack_bytes
from .window_grad import window_grad


def _token_product(
    left: Tensor, right: Tensor, num_heads: int, softmax: bool, max_splits: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """left^T right per head, (B, splits, C, Ch), with maximum and sum of the softmax, (B, splits, C)."""
    batch, height, width, channels = left.shape
    head_width, tokens = channels // num_heads, height * width
    used = tuning.product_heads(head_width) * head_width
    blocks = tuning.cdiv(channels, used)
    block_n = tuning.token_block(head_width, left.element_size())
    splits, length = tuning.splits(tokens, batch * blocks, block_n, max_splits)
    product = left.new_empty((batch, splits, channels, head_width), dtype=torch.float32)
    top = total = None
    if softmax:
        top = left.new_empty((batch, splits, channels), dtype=torch.float32)
        total = torch.empty_like(top)
    launch(
        wrap_triton(token_product_kernel),
        batch * splits * blocks,
        left,
        right,
        product,
        top,
        total,
        tokens,
        length,
        splits,
        stride_left=left.stride(2),
        stride_right=right.stride(2),
        count=channels,
        head_width=head_width,
        used=used,
        block_n=block_n,
        block_c=tuning.product_block(head_width),
        num_warps=4,
    )
    return product, top, total


def _map_constants(
    tile: tuning.Tile,
    shape: torch.Size,
    num_heads: int,
    windows: Sequence[int],
    heads: Sequence[int],
) -> tuple[tuple[int, int, int], dict[str, int]]:
    """(grid, tiles in y, tiles in x) and the constants of the kernels that walk over the map."""
    channels = shape[3]
    head_width = channels // num_heads
    constants = dict(
        stride=3 * channels,
        frame=max(windows),
        count=channels,
        head_width=head_width,
        windows=pack_bytes(windows),
        heads=pack_bytes(heads),
        groups=len(windows),
        block_h=tile.height,
        block_w=tile.width,
        block_c=tile.channels,
        num_warps=tile.num_warps,
        num_stages=1,
    )
    return tile.grid(shape), constants


def _join_context(
    parts: tuple[Tensor, Tensor, Tensor], qkv_cls: Tensor, num_heads: int, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The class token's result, context (B, C, Ch), maximum and sum (B, C)."""
    batch, _, _, channels = qkv_cls.shape
    head_width, splits = channels // num_heads, parts[0].shape[1]
    out_cls = qkv_cls.new_empty((batch, 1, channels))
    context = parts[0].new_empty((batch, channels, head_width))
    top = parts[0].new_empty((batch, channels))
    total = torch.empty_like(top)
    block_c, block_s, block_j = tuning.join_block(head_width)
    launch(
        wrap_triton(join_context_kernel),
        batch * num_heads * tuning.cdiv(head_width, block_j),
        *parts,
        *qkv_cls.unbind(2),
        context,
        top,
        total,
        out_cls,
        splits,
        scale,
        stride_cls=3 * channels,
        count=channels,
        head_width=head_width,
        block_s=block_s,
        block_c=block_c,
        block_j=block_j,
        num_warps=4,
    )
    return out_cls, context, top, total


@define('conv_attention')
def conv_attention_op(
    qkv_cls: Tensor,
    qkv: Tensor,
    params: Tensor,
    packed: Tensor,
    windows: Sequence[int],
    heads: Sequence[int],
    num_heads: int,
    scale: float,
    max_splits: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Results of class token and image tokens; context, maximum and sum of the softmax for the backward."""
    qkv_cls, qkv = qkv_cls.contiguous(), qkv.contiguous()
    q, k, v = qkv.unbind(3)
    parts = _token_product(k, v, num_heads, True, max_splits)
    out_cls, context, top, total = _join_context(parts, qkv_cls, num_heads, scale)
    out = qkv.new_empty(q.shape)
    tile = tuning.attention_tile(q.shape)
    (grid, *tiles), constants = _map_constants(tile, q.shape, num_heads, windows, heads)
    launch(
        wrap_triton(attention_kernel),
        grid,
        q,
        v,
        context,
        packed,
        out,
        *q.shape[1:3],
        *tiles,
        scale,
        **constants,
    )
    return out_cls, out, context, top, total


@define('conv_attention_grad')
def conv_attention_grad_op(
    d_out_cls: Tensor,
    d_out: Tensor,
    qkv_cls: Tensor,
    qkv: Tensor,
    packed: Tensor,
    context: Tensor,
    top: Tensor,
    total: Tensor,
    windows: Sequence[int],
    heads: Sequence[int],
    num_heads: int,
    scale: float,
    max_splits: int,
) -> tuple[Tensor, Tensor]:
    """Gradients of ``qkv_cls`` and ``qkv``."""
    d_out, qkv, qkv_cls = d_out.contiguous(), qkv.contiguous(), qkv_cls.contiguous()
    q, k, v = qkv.unbind(3)
    product = _token_product(q, d_out, num_heads, False, max_splits)[0]
    batch, _, _, channels = q.shape
    d_context, row_sum = torch.empty_like(context), torch.empty_like(top)
    d_qkv_cls, d_qkv = torch.empty_like(qkv_cls), torch.empty_like(qkv)
    head_width = channels // num_heads
    block_c, block_s, _ = tuning.join_block(head_width)
    launch(
        wrap_triton(join_grad_kernel),
        batch * num_heads,
        product,
        context,
        top,
        total,
        *qkv_cls.unbind(2),
        d_out_cls.contiguous(),
        d_context,
        row_sum,
        d_qkv_cls,
        product.shape[1],
        scale,
        stride_cls=3 * channels,
        count=channels,
        head_width=head_width,
        block_s=max(block_s // 4, 1),
        block_c=block_c,
        num_warps=4,
    )
    tile = tuning.attention_grad_tile(q.shape)
    (grid, *tiles), constants = _map_constants(tile, q.shape, num_heads, windows, heads)
    launch(
        wrap_triton(attention_grad_kernel),
        grid,
        q,
        k,
        v,
        d_out,
        context,
        d_context,
        top,
        row_sum,
        packed,
        d_qkv,
        *q.shape[1:3],
        *tiles,
        scale,
        **constants,
    )
    return d_qkv_cls, d_qkv


@define('conv_attention_grad_params')
def grad_params_op(
    d_out: Tensor, qkv: Tensor, windows: Sequence[int], heads: Sequence[int], num_heads: int
) -> Tensor:
    """Gradients of all filters, then all biases, in float32."""
    q, _, v = qkv.contiguous().unbind(3)
    return window_grad(v, d_out.contiguous(), q, windows, heads, q.shape[3] // num_heads)


def _setup(ctx, inputs, output) -> None:
    qkv_cls, qkv, params, packed, *ctx.settings = inputs
    ctx.params_dtype = params.dtype
    ctx.save_for_backward(qkv_cls, qkv, packed, *output[2:])


def _backward(ctx, d_out_cls: Tensor, d_out: Tensor, *_) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors  # only once: activation checkpointing gives them a single time
    windows, heads, num_heads = ctx.settings[:3]
    d_qkv_cls = d_qkv = d_params = None
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
        d_qkv_cls, d_qkv = conv_attention_grad_op(d_out_cls, d_out, *saved, *ctx.settings)
    if ctx.needs_input_grad[2]:
        d_params = grad_params_op(d_out, saved[1], windows, heads, num_heads)
        d_params = d_params.to(ctx.params_dtype)
    return d_qkv_cls, d_qkv, d_params, None, None, None, None, None, None


conv_attention_op.register_autograd(_backward, setup_context=_setup)


def _check(qkv_cls: Tensor, qkv: Tensor, filters: PackedFilters, num_heads: int) -> None:
    batch, channels = qkv.shape[0], qkv.shape[-1]
    if qkv.dim() != 5 or qkv.shape[3] != 3 or qkv_cls.shape != (batch, 1, 3, channels):
        raise ValueError(
            'qkv_cls of (B, 1, 3, C) and qkv of (B, H, W, 3, C) expected, '
            f'got {tuple(qkv_cls.shape)} and {tuple(qkv.shape)}'
        )
    if filters.packed.shape[1] != channels or sum(filters.heads) != num_heads:
        raise ValueError(
            f'filters for {channels} channels and {num_heads} heads expected, '
            f'got {filters.packed.shape[1]} channels and {sum(filters.heads)} heads'
        )


def _autocast(x: Tensor) -> Tensor:
    """Cast like autocast does with the input of a matrix product."""
    device = x.device.type
    if device != 'meta' and x.dtype == torch.float32 and torch.is_autocast_enabled(device):
        return x.to(torch.get_autocast_dtype(device))
    return x


def conv_attention(
    qkv_cls: Tensor, qkv: Tensor, filters: PackedFilters, num_heads: int, scale: float
) -> tuple[Tensor, Tensor]:
    """Return ``scale * Q (softmax(K)^T V) + Q * depthwise_conv(V)``; no convolution for the class token.

    See ``reference.conv_attention``.

    Returns:
        (B, 1, C) and (B, H, W, C) in the dtype of ``qkv``, under autocast in the autocast dtype. The filters
        are used in their own dtype.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    _check(qkv_cls, qkv, filters, num_heads)
    qkv_cls, qkv = _autocast(qkv_cls).contiguous(), _autocast(qkv).contiguous()
    settings = num_heads, scale, tuning.MAX_SPLITS
    return conv_attention_op(qkv_cls, qkv, *filters, *settings)[:2]
