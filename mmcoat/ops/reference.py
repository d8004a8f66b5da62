"""The reference form: what the other two must equal, in value and gradient."""

import torch.nn.functional as F
from torch import Tensor

from .conv_pos_enc import conv_pos_enc
from .conv_rel_pos_enc import conv_rel_pos_enc
from .factorized_attention import factorized_attention
from .scale_exchange import scale_exchange as _exchange

__all__ = [
    'conv_attention',
    'conv_pos_enc',
    'linear_add',
    'norm_mlp',
    'norm_qkv',
    'scale_exchange',
]


Tokens = tuple[Tensor, ...]  # the class token (B, 1, C) and the image tokens (B, H, W, C), say


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


def conv_attention(
    qkv_cls: Tensor,
    qkv: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    num_heads: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Return factorized attention with the convolutional relative position encoding.

    Args:
        qkv_cls: Query, key and value of the class token, (B, 1, 3, C).
        qkv: The same of the image tokens, (B, H, W, 3, C).
        weights: One depthwise (Cw, 1, K, K) filter bank per window; the Cw add up to C.
        biases: One (Cw,) per window.
        num_heads: Number of heads.
        scale: Factor of the attention.

    Returns:
        (B, 1, C) and (B, H, W, C), before the projection.
    """
    out_cls, out = factorized_attention(qkv_cls, qkv, num_heads, scale)
    q, _, v = qkv.unbind(-2)  # unbind, not indexing: one gradient buffer instead of three
    return out_cls, out + conv_rel_pos_enc(q, v, weights, biases)


def linear_add(tokens: Tokens, weight: Tensor, bias: Tensor, residual: Tokens | None) -> Tokens:
    """Return ``linear(x)`` of each tensor, (..., C) -> (..., D), plus its residual if there are any."""
    out = tuple(F.linear(x, weight, bias) for x in tokens)
    if residual is None:
        return out
    return tuple(skip + x for skip, x in zip(residual, out, strict=True))


def norm_mlp(
    tokens: Tokens,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
    residual: bool,
) -> Tokens:
    """Return ``mlp(layer_norm(x))`` of each tensor, plus ``x`` with ``residual``.

    Args:
        tokens: Tensors (..., C).
        gamma: Scale of the norm, (C,).
        beta: Shift of the norm, (C,).
        eps: Added to the variance.
        weights: Of the two linear layers, (D, C) and (C, D).
        biases: (D,) and (C,).
        residual: Whether ``x`` is added.

    Returns:
        The shapes of ``tokens``.
    """
    hidden = _norm_linear(tokens, gamma, beta, eps, weights[0], biases[0])
    hidden = tuple(F.gelu(x) for x in hidden)
    return linear_add(hidden, weights[1], biases[1], tokens if residual else None)


def scale_exchange(maps: list[Tensor], residuals: list[Tensor] | None = None) -> list[Tensor]:
    """Give each scale the sum of all scales, each resized to it, plus its residual.

    Args:
        maps: One (B, Hi, Wi, C) per scale; sizes may differ, channels may not.
        residuals: As many of the same shapes, or None.

    Returns:
        One (B, Hi, Wi, C) per scale, in the same order.
    """
    sums = _exchange(maps)
    if residuals is None:
        return sums
    return [x + total for x, total in zip(residuals, sums, strict=True)]
