"""Kernels of ``softmax(K)^T V`` and of its gradient: sums over all tokens, split so that they fill the chip.

Every program sums over some tokens; a small kernel joins the parts and adds the class token. Heads are
narrow, so several heads may share a program; then the product is a block-diagonal matrix.

P is the softmax of K over the tokens, C = P^T V the context of a head, T the sum of exp(K - max). The
gradient of K is P * (V dC^T - r) where r, the sum over the tokens of P * dP, is rowsum(C * dC): no further
reduction. Kept as D = dC / T, whose range fits half precision, this is
dK = exp(K - max) * (V D^T - rowsum(C * D)) and dV = exp(K - max) D.
"""

import triton
import triton.language as tl

from ..launching import INTERPRETED

WIDEN = tl.constexpr(INTERPRETED)


@triton.jit
def dot(a, b, total):
    """total + a b, float32 without TF32; the interpreter would multiply the bit patterns of bfloat16."""
    if WIDEN:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision='ieee')


@triton.jit
def token_product_kernel(
    left,
    right,
    product,
    top,
    total,
    tokens,
    length,
    splits,
    stride_left: tl.constexpr,
    stride_right: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    used: tl.constexpr,
    block_n: tl.constexpr,
    block_c: tl.constexpr,
):
    """Sum over some tokens of left^T right per head; with ``top``, left becomes exp(left - maximum)."""
    blocks: tl.constexpr = (count + used - 1) // used
    part = tl.program_id(0) // blocks  # image * splits + split
    first = part % splits * length
    near = tl.arange(0, block_c)
    channels = tl.program_id(0) % blocks * used + near
    keep = (near < used) & (channels < count)
    start = (part // splits).to(tl.int64) * tokens + first
    left += start * stride_left
    right += start * stride_right
    largest = tl.full([block_c], float('-inf'), tl.float32)
    weights = tl.zeros([block_c], tl.float32)
    result = tl.zeros([block_c, block_c], tl.float32)
    for step in range(0, length, block_n):
        near_n = step + tl.arange(0, block_n)
        there_n = first + near_n < tokens
        there = there_n[:, None] & keep[None, :]
        a = tl.load(left + near_n[:, None] * stride_left + channels[None, :], there, 0.0)
        b = tl.load(right + near_n[:, None] * stride_right + channels[None, :], there, 0.0)
        if top is not None:
            a = tl.where(there_n[:, None], a.to(tl.float32), float('-inf'))
            higher = tl.maximum(largest, tl.max(a, 0))
            fade = tl.exp(largest - higher)
            a = tl.exp(a - higher[None, :])
            weights = weights * fade + tl.sum(a, 0)
            result = result * fade[:, None]
            largest = higher
            a = a.to(b.dtype)
        result = dot(tl.trans(a), b, result)
    head = channels // head_width
    same = (head[:, None] == head[None, :]) & keep[:, None] & keep[None, :]
    row = part.to(tl.int64) * count + channels
    where = row[:, None] * head_width + channels[None, :] - head[None, :] * head_width
    tl.store(product + where, result, same)
    if top is not None:
        tl.store(top + row, largest, keep)
        tl.store(total + row, weights, keep)


@triton.jit
def join_context_kernel(
    product,
    tops,
    totals,
    q_cls,
    k_cls,
    v_cls,
    context,
    top,
    total,
    out_cls,
    splits,
    scale,
    stride_cls: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    block_s: tl.constexpr,
    block_c: tl.constexpr,
    block_j: tl.constexpr,
):
    """Join the parts of one head for some columns of its context, including the class token."""
    pieces: tl.constexpr = (head_width + block_j - 1) // block_j
    heads: tl.constexpr = count // head_width
    piece = tl.program_id(0) % pieces
    head = tl.program_id(0) // pieces % heads
    image = (tl.program_id(0) // (pieces * heads)).to(tl.int64)
    near = tl.arange(0, block_c)
    keep = near < head_width
    channels = head * head_width + near
    columns = piece * block_j + tl.arange(0, block_j)
    keep_j = columns < head_width
    q = tl.load(q_cls + image * stride_cls + channels, keep, 0.0).to(tl.float32)
    largest = tl.load(k_cls + image * stride_cls + channels, keep, 0.0).to(tl.float32)
    v = tl.load(v_cls + image * stride_cls + head * head_width + columns, keep_j, 0.0)
    weights = tl.zeros([block_c], tl.float32) + 1.0
    result = tl.zeros([block_c, block_j], tl.float32) + v.to(tl.float32)[None, :]
    for first in range(0, splits, block_s):
        split = first + tl.arange(0, block_s)
        there = (split < splits)[:, None] & keep[None, :]
        row = (image * splits + split)[:, None] * count + channels[None, :]
        part_top = tl.load(tops + row, there, float('-inf'))
        higher = tl.maximum(largest, tl.max(part_top, 0))
        fade = tl.exp(largest - higher)
        factor = tl.exp(part_top - higher[None, :])
        weights = weights * fade + tl.sum(tl.load(totals + row, there, 0.0) * factor, 0)
        where = row[:, :, None] * head_width + columns[None, None, :]
        part = tl.load(product + where, there[:, :, None] & keep_j[None, None, :], 0.0)
        result = result * fade[:, None] + tl.sum(part * factor[:, :, None], 0)
        largest = higher
    result = result / weights[:, None]
    row = image * count + channels
    there = keep[:, None] & keep_j[None, :]
    tl.store(context + row[:, None] * head_width + columns[None, :], result, there)
    if piece == 0:
        tl.store(top + row, largest, keep)
        tl.store(total + row, weights, keep)
    out = scale * tl.sum(tl.where(keep[:, None], q[:, None] * result, 0.0), 0)
    where = out_cls + image * count + head * head_width + columns
    tl.store(where, out.to(out_cls.dtype.element_ty), keep_j)


@triton.jit
def join_grad_kernel(
    product,
    context,
    top,
    total,
    q_cls,
    k_cls,
    v_cls,
    d_out_cls,
    d_context,
    row_sum,
    d_qkv_cls,
    splits,
    scale,
    stride_cls: tl.constexpr,
    count: tl.constexpr,
    head_width: tl.constexpr,
    block_s: tl.constexpr,
    block_c: tl.constexpr,
):
    """Gradient of one head's context (as D, see above) and of the class token's query, key and value."""
    heads: tl.constexpr = count // head_width
    head = tl.program_id(0) % heads
    image = (tl.program_id(0) // heads).to(tl.int64)
    near = tl.arange(0, block_c)
    keep = near < head_width
    channels = head * head_width + near
    there = keep[:, None] & keep[None, :]
    result = tl.zeros([block_c, block_c], tl.float32)
    for first in range(0, splits, block_s):
        split = first + tl.arange(0, block_s)
        row = (image * splits + split)[:, None] * count + channels[None, :]
        where = row[:, :, None] * head_width + near[None, None, :]
        mask = (split < splits)[:, None, None] & there[None, :, :]
        result += tl.sum(tl.load(product + where, mask, 0.0), 0)
    q = tl.load(q_cls + image * stride_cls + channels, keep, 0.0).to(tl.float32)
    k = tl.load(k_cls + image * stride_cls + channels, keep, 0.0).to(tl.float32)
    v = tl.load(v_cls + image * stride_cls + channels, keep, 0.0).to(tl.float32)
    d_out = tl.load(d_out_cls + image * count + channels, keep, 0.0).to(tl.float32)
    row = image * count + channels
    where = row[:, None] * head_width + near[None, :]
    weights = tl.load(total + row, keep, 1.0)
    result = scale * (result + q[:, None] * d_out[None, :]) / weights[:, None]
    old = tl.load(context + where, there, 0.0)
    rows = tl.sum(old * result, 1)
    tl.store(d_context + where, result, there)
    tl.store(row_sum + row, rows, keep)
    key = tl.exp(k - tl.load(top + row, keep, 0.0))
    d_q = scale * tl.sum(old * d_out[None, :], 1)
    d_k = key * (tl.sum(result * v[None, :], 1) - rows)
    d_v = tl.sum(key[:, None] * result, 0)
    base = d_qkv_cls + image * 3 * count + channels
    kind = d_qkv_cls.dtype.element_ty
    tl.store(base, d_q.to(kind), keep)
    tl.store(base + count, d_k.to(kind), keep)
    tl.store(base + 2 * count, d_v.to(kind), keep)
