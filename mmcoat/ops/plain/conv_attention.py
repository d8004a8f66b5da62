"""Conv-attention that keeps queries, keys and values for backward, and recomputes everything after them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..common import compute_dtype, few_rows, no_autocast, wants_gradient
from . import heads
from .norm_qkv import Qkv, unbind
from .pack_filters import PackedFilters


def conv_attention(
    qkv_cls: Qkv, qkv: Qkv, filters: PackedFilters, num_heads: int, scale: float
) -> tuple[Tensor, Tensor]:
    """Return factorized attention with the convolutional relative position encoding.

    See ``reference.conv_attention``.
    """
    weight, bias, groups = filters
    with no_autocast(weight):
        if torch.compiler.is_compiling():
            return _forward(unbind(qkv_cls), unbind(qkv), weight, bias, num_heads, scale)[:2]
        if isinstance(qkv, Tensor):
            dtype = compute_dtype(qkv)
            qkv_cls, qkv = qkv_cls.to(dtype), qkv.to(dtype)
        parts = *unbind(qkv_cls), *unbind(qkv)
        if not wants_gradient(*parts, weight, bias):
            return _forward(parts[:3], parts[3:], weight, bias, num_heads, scale)[:2]
        if isinstance(qkv, Tensor) and few_rows((parts[0], parts[3])):
            return _joined(qkv_cls, qkv, filters, num_heads, scale)
        return ConvAttention.apply(*parts, weight, bias, groups, num_heads, scale)


def _tokens(parts: Sequence[Tensor]) -> list[Tensor]:
    """Return each (B, ..., C) as (B, N, C), a view."""
    return [part.flatten(1, -2) for part in parts]


def _forward(qkv_cls, qkv, weight, bias, num_heads, scale):
    """``qkv_cls`` and ``qkv`` are three tensors each, (B, 1, C) and (B, H, W, C)."""
    (q_cls, k_cls, v_cls), (q, k, v) = _tokens(qkv_cls), _tokens(qkv)
    keys, keys_cls, total, top = _exponentials(k, k_cls)
    early = k.dtype == torch.float16  # else a sum over many tokens could overflow
    if early:
        keys, keys_cls = keys / total, keys_cls / total
    context = heads.contract(keys, v, num_heads)
    context = context + heads.contract(keys_cls, v_cls, num_heads)
    if not early:
        context = context / _by_key(total, num_heads)
    out = heads.apply(q, scale * context)
    encoded = _convolve(qkv[2], weight.to(v.dtype), bias.to(v.dtype))
    if torch.is_grad_enabled():
        out = out + q * encoded.flatten(1, 2)
    else:
        out.addcmul_(q, encoded.flatten(1, 2))
    out_cls = heads.apply(q_cls, scale * context)
    return out_cls, out.view(encoded.shape), top, total, context


def _by_key(x: Tensor, num_heads: int) -> Tensor:
    """(B, 1, C), one value for each channel of keys -> (B, heads, Ch, 1), a view, for a context's rows."""
    return heads.split(x, num_heads).transpose(-1, -2)


# Sums of exponentials within these limits are far from both ends of float32's (and bfloat16's) range.
_SAFE_SUMS = (1e-15, 1e20)


def _exponentials(k: Tensor, k_cls: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return ``exp(k - top)`` of the image tokens and the class token, their sum over tokens, and ``top``.

    ``top`` (B, 1, C) only keeps exp() in range and cancels in the quotient, so no gradient passes through it.
    On a CPU it is None, for 0, if the sums show that no maximum is needed, because finding maxima is a slow
    pass there.
    """
    in_place = not torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if in_place and k.device.type == 'cpu' and k.dtype in (torch.float32, torch.bfloat16):
        # copy a view to a dense tensor first, because exp() of a view is slow; dense keys are not copied
        weight = k.exp() if k.is_contiguous() else k.contiguous().exp_()
        weight_cls = k_cls.exp()
        total = weight.sum(1, keepdim=True) + weight_cls
        low, high = total.aminmax()
        if _SAFE_SUMS[0] < low and high < _SAFE_SUMS[1]:
            return weight, weight_cls, total, None
    top = torch.maximum(k.detach().amax(1, keepdim=True), k_cls.detach())
    weight, weight_cls = k - top, k_cls - top
    weight, weight_cls = (weight.exp_() if in_place else weight.exp()), weight_cls.exp()
    return weight, weight_cls, weight.sum(1, keepdim=True) + weight_cls, top


def _convolve(v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the depthwise convolution of (B, H, W, C), dense."""
    # (B, H, W, C) -> (B, C, H, W), channels last
    v = v.contiguous().permute(0, 3, 1, 2)
    out = F.conv2d(v, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])
    return out.permute(0, 2, 3, 1).contiguous()


# All measured on a CPU. Values of a map up to which one filter gradient for all windows is faster than one
# for each; tokens up to which a convolution with the gradient as its filter is faster; columns of a window
# whose gradients are computed at a time, (first, number): the middle ones need no copy of the map.
_ONE_BANK = 3 * 2**19
_GRAD_AS_FILTER = 64
_COLUMNS = {5: ((0, 3), (3, 2)), 7: ((0, 2), (2, 3), (5, 2))}


def _convolve_backward(
    grad: Tensor, v: Tensor, weight: Tensor, groups: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``v`` (dense), filters and biases, the last two in at least float32.

    Args:
        grad: Gradient of the convolution, (B, H, W, C).
        v: Its input, (B, H, W, C).
        weight: Its filters, (C, 1, K, K).
        groups: (channels, window) of each group; a filter is zero, and has no gradient, beyond its window.
    """
    grad, v = grad.permute(0, 3, 1, 2), v.permute(0, 3, 1, 2)
    largest = weight.shape[-1]
    padding = (largest // 2,) * 2
    grad_v = _conv_backward(grad, v, weight, [True, False, False], padding)[0].permute(0, 2, 3, 1)
    # in float32: oneDNN is far slower with bfloat16 here
    total = torch.promote_types(torch.float32, v.dtype)
    if v.numel() <= _ONE_BANK:
        # gradients beyond a window are dropped where it was padded
        groups = ((v.shape[1], largest),)
    sizes = [channels for channels, _ in groups]
    parts = zip(grad.to(total).split(sizes, 1), v.to(total).split(sizes, 1), groups, strict=True)
    framed = [F.pad(_filter_grad(g, x, k), [(largest - k) // 2] * 4) for g, x, (_, k) in parts]
    return grad_v, torch.cat(framed), grad.sum((0, 2, 3), dtype=total)


def _filter_grad(grad: Tensor, x: Tensor, window: int) -> Tensor:
    """Return the gradient of depthwise filters (C, 1, window, window).

    At most three columns of the window at a time, because for more oneDNN is ten times as slow. On tiny maps
    even these take longer than a depthwise convolution of ``x`` with ``grad`` as its filters.

    Args:
        grad: Gradient of the convolution, (B, C, H, W).
        x: Its input, (B, C, H, W).
        window: Window size, odd; the convolution was padded by half of it.
    """
    pad, (batch, channels, height, width) = window // 2, grad.shape
    if (
        height * width <= _GRAD_AS_FILTER or width < pad
    ):  # or more columns would be cut off than there are
        count = batch * channels
        framed = F.pad(x, (pad, pad, pad, pad)).reshape(1, count, height + 2 * pad, width + 2 * pad)
        each = F.conv2d(framed, grad.reshape(count, 1, height, width), groups=count)
        return each.view(batch, channels, 1, window, window).sum(0)
    grad = grad.contiguous(memory_format=torch.channels_last)
    columns = []
    for start, count in _COLUMNS.get(
        window, [(i, min(3, window - i)) for i in range(0, window, 3)]
    ):
        left, right = (
            pad - start,
            start + count - 1 - pad,
        )  # zero columns beside what these columns see
        sides = left if left == right else 0  # equal ones are left to the convolution
        part = x if sides else _framed(x, left, right)
        part = part.contiguous(memory_format=torch.channels_last)
        shape = part.new_empty(channels, 1, window, count)
        columns.append(_conv_backward(grad, part, shape, [False, True, False], (pad, sides))[1])
    return torch.cat(columns, -1)


def _framed(x: Tensor, left: int, right: int) -> Tensor:
    """Return ``x`` (B, C, H, W) with zero columns beside it, channels last; negative numbers cut columns off.

    Only these columns are zeroed, where PyTorch's pad fills the whole result first.
    """
    batch, channels, height, width = x.shape
    out = x.new_empty(batch, height, width + left + right, channels).permute(0, 3, 1, 2)
    before, after = max(left, 0), max(right, 0)
    out[..., :before] = 0
    out[..., out.shape[-1] - after :] = 0
    out[..., before : out.shape[-1] - after] = x[..., max(-left, 0) : width - max(-right, 0)]
    return out


def _conv_backward(
    grad: Tensor, x: Tensor, weight: Tensor, mask: list[bool], padding: tuple[int, int]
):
    channels = weight.shape[0]
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], channels, mask
    )


def _joined(qkv_cls, qkv, filters, num_heads, scale):
    """Process class token and image tokens of a small map in one sequence, with autograd's own gradients."""
    tokens = torch.cat([qkv_cls, qkv.flatten(1, 2)], 1).unflatten(-1, (num_heads, -1))
    # (B, 1 + N, 3, heads, Ch) -> three (B, heads, 1 + N, Ch)
    q, k, v = tokens.permute(2, 0, 3, 1, 4).unbind()
    context = k.softmax(2).transpose(-1, -2) @ v
    out = (q @ (scale * context)).transpose(1, 2).flatten(2)
    q, _, v = qkv.unbind(-2)
    out_cls, out = out.split([1, out.shape[1] - 1], 1)
    return out_cls, torch.addcmul(out.view(q.shape), q, Convolution.apply(v, *filters))


class Convolution(torch.autograd.Function):
    """The depthwise convolution of (B, H, W, C), with faster gradients than autograd's."""

    @staticmethod
    def forward(ctx, v, weight, bias, groups):
        v, low = v.contiguous(), weight.to(v.dtype)
        ctx.save_for_backward(v, low)
        ctx.groups, ctx.dtypes = groups, (weight.dtype, bias.dtype)
        return _convolve(v, low, bias.to(v.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        grad_v, *grads = _convolve_backward(grad.contiguous(), *ctx.saved_tensors, ctx.groups)
        return grad_v, *(g.to(dtype) for g, dtype in zip(grads, ctx.dtypes, strict=True)), None


class ConvAttention(torch.autograd.Function):
    """Keep queries, keys and values, and the maximum and the sum of the softmax for each channel.

    The gradient of a softmax needs the sum over tokens of P * dP. This is the row sum of KV * dKV, so no pass
    over the tokens is needed for it.
    """

    @staticmethod
    def forward(ctx, q_cls, k_cls, v_cls, q, k, v, weight, bias, groups, num_heads, scale):
        qkv_cls, qkv = (q_cls, k_cls, v_cls), (q, k, v)
        out_cls, out, top, total, context = _forward(qkv_cls, qkv, weight, bias, num_heads, scale)
        ctx.save_for_backward(*qkv_cls, *qkv, weight, bias, top, total, context)
        ctx.groups, ctx.num_heads, ctx.scale = groups, num_heads, scale
        return out_cls, out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out_cls, grad_out):
        *qkv, weight, bias, top, total, context = ctx.saved_tensors
        with no_autocast(weight):
            q, v = qkv[3], qkv[5].contiguous()
            low, low_bias = weight.to(v.dtype), bias.to(v.dtype)
            encoded = _convolve(v, low, low_bias).flatten(1, 2)
            grad_v, *grad_filters = _convolve_backward(grad_out * q, v, low, ctx.groups)
            grads_out = grad_out_cls.contiguous(), grad_out.flatten(1, 2)
            parts = _tokens(qkv)
            grad_context = ctx.scale * sum(
                heads.contract(query, grad, ctx.num_heads)
                for query, grad in zip((parts[0], parts[3]), grads_out, strict=True)
            )
            softmax = top, total, context, grad_context
            grads = [
                *_backward_tokens(parts[:3], grads_out[0], *softmax, ctx.scale),
                *_backward_tokens(parts[3:], grads_out[1], *softmax, ctx.scale),
            ]
            # what the position encoding adds
            grads[3].addcmul_(encoded, grads_out[1])
            grads[5].add_(grad_v.flatten(1, 2))
        grads = [grad.view(part.shape) for grad, part in zip(grads, qkv, strict=True)]
        grad_weight, grad_bias = grad_filters
        return *grads, grad_weight.to(weight.dtype), grad_bias.to(bias.dtype), None, None, None


def _backward_tokens(qkv, grad_out, top, total, context, grad_context, scale) -> list[Tensor]:
    """Return the gradients of queries, keys and values of some tokens, three (B, N, C).

    Args:
        qkv: Three (B, N, C).
        grad_out: Gradient of the result, (B, N, C).
        top: Maximum of the keys, (B, 1, C); None for 0.
        total: Sum of the exponentials, (B, 1, C).
        context: ``softmax(K)^T V``, (B, heads, Ch, Ch).
        grad_context: Its gradient.
        scale: Factor of the result.
    """
    _, k, v = qkv
    product = (context * grad_context).sum(-1).flatten(1).unsqueeze(1)  # (B, 1, C)
    weight = k.exp() if top is None else (k - top).exp_()
    if k.dtype == torch.float16:
        weight /= total
    else:  # a division of small matrices instead of a pass over the tokens
        grad_context = grad_context / _by_key(total, context.shape[1])
        product = product / total
    grad_q = heads.apply(grad_out, scale * context.transpose(-1, -2))
    grad_k = heads.apply(v, grad_context.transpose(-1, -2)).sub_(product).mul_(weight)
    return [grad_q, grad_k, heads.apply(weight, grad_context)]
