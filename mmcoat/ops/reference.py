"""The six operations as in the paper, in ordinary PyTorch; the other forms must give equal results.

Values and gradients of ``plain`` and ``fused`` are tested against these functions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'conv_attention',
    'conv_pos_enc',
    'linear_add',
    'norm_mlp',
    'norm_qkv',
    'pack_filters',
    'scale_exchange',
]

Filters = tuple[
    list[Tensor], list[Tensor]
]  # weights (Cw, 1, K, K) and biases (Cw,), one per window
Tokens = tuple[
    Tensor, ...
]  # for example the class token (B, 1, C) and the image tokens (B, H, W, C)


def conv_pos_enc(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x + depthwise_conv(x)``.

    Args:
        x: Image tokens, (B, H, W, C).
        weight: Depthwise filters, (C, 1, K, K) with odd K.
        bias: (C,).

    Returns:
        (B, H, W, C).
    """
    channels, _, window, _ = weight.shape
    # (B, H, W, C) -> (B, C, H, W), a view
    feature = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=window // 2, groups=channels)
    # (B, C, H, W) -> (B, H, W, C)
    return x + feature.permute(0, 2, 3, 1)


def norm_qkv(
    tokens: Tokens, gamma: Tensor, beta: Tensor, eps: float, weight: Tensor, bias: Tensor
) -> tuple[Tensor, ...]:
    """Return queries, keys and values of the normed tokens, (..., C) -> (..., 3, C).

    Args:
        tokens: Tensors (..., C).
        gamma: Scale of the norm, (C,).
        beta: Shift of the norm, (C,).
        eps: Added to the variance.
        weight: (3 C, C).
        bias: (3 C,).
    """
    qkv = _norm_linear(tokens, gamma, beta, eps, weight, bias)
    return tuple(x.unflatten(-1, (3, -1)) for x in qkv)


def _norm_linear(tokens, gamma, beta, eps, weight, bias) -> Tokens:
    normed = [F.layer_norm(x, gamma.shape, gamma, beta, eps) for x in tokens]
    return tuple(F.linear(x, weight, bias) for x in normed)


def pack_filters(weights: list[Tensor], biases: list[Tensor], num_heads: int) -> Filters:
    """Return the filters of the relative position encoding in the format of this form's ``conv_attention``.

    A stage does this once for all its blocks. Here nothing is packed.

    Args:
        weights: One depthwise (Cw, 1, K, K) filter bank per window, K odd. Each Cw is a number of whole
            heads, and they add up to C.
        biases: One (Cw,) per window.
        num_heads: Number of heads of all windows together.
    """
    return list(weights), list(biases)


def conv_attention(
    qkv_cls: Tensor, qkv: Tensor, filters: Filters, num_heads: int, scale: float
) -> tuple[Tensor, Tensor]:
    """Return factorized attention with the convolutional relative position encoding.

    Args:
        qkv_cls: Query, key and value of the class token, (B, 1, 3, C).
        qkv: The same of the image tokens, (B, H, W, 3, C).
        filters: Result of ``pack_filters``.
        num_heads: Number of heads.
        scale: Factor of the attention.

    Returns:
        (B, 1, C) and (B, H, W, C), before the projection.
    """
    out_cls, out = factorized_attention(qkv_cls, qkv, num_heads, scale)
    q, _, v = qkv.unbind(-2)  # unlike indexing: one gradient buffer instead of three
    return out_cls, out + conv_rel_pos_enc(q, v, *filters)


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, ..., C) -> (B, heads, N, C / heads), a view if the layout allows it."""
    x = x.flatten(1, -2) if x.dim() > 3 else x
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def attention_context(k_cls: Tensor, v_cls: Tensor, k: Tensor, v: Tensor, num_heads: int) -> Tensor:
    """Return ``softmax(K)^T V`` per head; the softmax runs over all tokens including the class token.

    Args:
        k_cls: Key of the class token, (B, 1, C).
        v_cls: Value of the class token, (B, 1, C).
        k: Keys of the image tokens, (B, H, W, C).
        v: Values of the image tokens, (B, H, W, C).
        num_heads: Number of heads.

    Returns:
        (B, heads, C / heads, C / heads), in the dtype of ``v``.
    """
    k, v = _heads(k, num_heads), _heads(v, num_heads)
    k_cls, v_cls = _heads(k_cls, num_heads), _heads(v_cls, num_heads)
    # The class token stays outside the large tensors: its part of the sum is added at the end. The maximum
    # only keeps exp() in range, so no gradient needs to pass through it.
    top = torch.maximum(k.detach().amax(2, keepdim=True), k_cls.detach())  # (B, heads, 1, Ch)
    weight, weight_cls = (k - top).exp(), (k_cls - top).exp()
    total = weight.sum(2, keepdim=True) + weight_cls  # (B, heads, 1, Ch)
    if v.dtype == torch.float16:  # an unnormalised sum over many tokens would overflow fp16
        weight, weight_cls, total = weight / total, weight_cls / total, torch.ones_like(total)
    context = weight.to(v.dtype).transpose(-1, -2) @ v + (
        weight_cls.to(v.dtype).transpose(-1, -2) * v_cls
    )
    return (context / total.transpose(-1, -2)).to(v.dtype)


def factorized_attention(
    qkv_cls: Tensor, qkv: Tensor, num_heads: int, scale: float
) -> tuple[Tensor, Tensor]:
    """Return ``scale * Q (softmax(K)^T V)`` for the class token and for the image tokens.

    Args:
        qkv_cls: Query, key and value of the class token, (B, 1, 3, C).
        qkv: The same of the image tokens, (B, H, W, 3, C).
        num_heads: Number of heads.
        scale: Factor of the result. It is applied to the small matrix and not to Q, because the relative
            position encoding uses Q unscaled.

    Returns:
        (B, 1, C) and (B, H, W, C).
    """
    q_cls, k_cls, v_cls = qkv_cls.unbind(-2)
    q, k, v = qkv.unbind(-2)
    context = scale * attention_context(k_cls, v_cls, k, v, num_heads)
    out_cls = _heads(q_cls, num_heads) @ context
    out = _heads(q, num_heads) @ context
    # (B, heads, N, Ch) -> (B, N, C) -> the shape of q
    out_cls = out_cls.transpose(1, 2).reshape(q_cls.shape)
    return out_cls, out.transpose(1, 2).reshape(q.shape)


def conv_rel_pos_enc(q: Tensor, v: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """Return ``q * depthwise_conv(v)``; each group of heads has a window of its own.

    Args:
        q: Queries of the image tokens, (B, H, W, C); the heads are concatenated in C.
        v: Values of the image tokens, (B, H, W, C).
        weights: One (Cw, 1, K, K) filter bank per window; the Cw add up to C.
        biases: One (Cw,) per window.

    Returns:
        (B, H, W, C).
    """
    v_map = v.permute(0, 3, 1, 2)  # (B, H, W, C) -> (B, C, H, W), a view
    groups = v_map.split([weight.shape[0] for weight in weights], dim=1)
    encoded = [
        F.conv2d(group, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])
        for group, weight, bias in zip(groups, weights, biases, strict=True)
    ]
    # (B, C, H, W) -> (B, H, W, C)
    return q * torch.cat(encoded, dim=1).permute(0, 2, 3, 1)


def linear_add(
    tokens: Tokens,
    weight: Tensor,
    bias: Tensor,
    residual: Tokens | None,
    factor: Tensor | None,
) -> Tokens:
    """Return ``linear(x)`` of each tensor, or ``residual + factor * linear(x)``.

    Args:
        tokens: Tensors (B, ..., C).
        weight: (D, C).
        bias: (D,).
        residual: As many tensors (B, ..., D), or None.
        factor: A factor for each sample, (B,), or None for 1. With drop path it is 0 or greater than 1.

    Returns:
        Tensors (B, ..., D).
    """
    out = tuple(F.linear(x, weight, bias) for x in tokens)
    if residual is None:
        return out
    return tuple(_add(skip, x, factor) for skip, x in zip(residual, out, strict=True))


def _add(x: Tensor, branch: Tensor, factor: Tensor | None) -> Tensor:
    """Return ``x + factor * branch``, both (B, ..., C)."""
    if factor is None:
        return x + branch
    return x + factor.view(-1, *[1] * (x.dim() - 1)) * branch  # (B,) -> (B, 1, ..., 1)


def norm_mlp(
    tokens: Tokens,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    factor: Tensor | None,
) -> Tokens:
    """Return ``x + factor * mlp(layer_norm(x))`` of each tensor.

    Args:
        tokens: Tensors (B, ..., C).
        gamma: Scale of the norm, (C,).
        beta: Shift of the norm, (C,).
        eps: Added to the variance.
        weights: Weights of the two linear layers, (D, C) and (C, D).
        biases: Biases of the two layers, (D,) and (C,).
        factor: A factor for each sample, (B,), or None for 1.

    Returns:
        The shapes of ``tokens``.
    """
    hidden = _norm_linear(tokens, gamma, beta, eps, weights[0], biases[0])
    hidden = tuple(F.gelu(x) for x in hidden)
    return linear_add(hidden, weights[1], biases[1], tokens, factor)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, H, W, C) to ``size`` bilinearly, without aligned corners."""
    if x.shape[1:3] == size:
        return x
    # (B, H, W, C) -> (B, C, H, W) -> (B, h, w, C)
    out = F.interpolate(x.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=False)
    return out.permute(0, 2, 3, 1)


def scale_exchange(
    maps: list[Tensor], residuals: list[Tensor], factors: list[Tensor | None]
) -> list[Tensor]:
    """Return for each scale its residual plus its factor times the sum of all scales, resized to this scale.

    Args:
        maps: One (B, Hi, Wi, C) per scale; sizes may differ, channels may not.
        residuals: One tensor per scale, with the shape of its map.
        factors: One (B,) per scale, a factor for each sample; None for 1.

    Returns:
        One (B, Hi, Wi, C) per scale, in the same order.
    """
    outs = []
    for own, (residual, factor) in enumerate(zip(residuals, factors, strict=True)):
        total = maps[own]
        for other, source in enumerate(maps):
            if other != own:
                total = total + resize(source, total.shape[1:3])
        outs.append(_add(residual, total, factor))
    return outs
