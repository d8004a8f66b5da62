"""Factorized attention: ``Q (softmax(K)^T V)``, linear in the number of tokens (paper section 3.1)."""

import torch
from torch import Tensor


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, ..., C) -> (B, heads, N, C / heads), a view where the layout allows it."""
    x = x.flatten(1, -2) if x.dim() > 3 else x
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def attention_context(k_cls: Tensor, v_cls: Tensor, k: Tensor, v: Tensor, num_heads: int) -> Tensor:
    """Return ``softmax(K)^T V`` per head; the softmax runs over all tokens, the class token included.

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
    if (
        v.dtype == torch.float16
    ):  # an unnormalised sum over many tokens would leave the range of fp16
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
        scale: Factor of the result; it goes into the small matrix, never into Q, which the relative
            position encoding uses unscaled.

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
