"""Layer norm over channels and its gradient; all statistics in float32."""

import triton
import triton.language as tl


@triton.jit
def layer_norm_kernel(
    x,
    gamma,
    beta,
    normed,
    mean,
    rstd,
    tokens,
    eps,
    count: tl.constexpr,
    block_n: tl.constexpr,
    block_c: tl.constexpr,
):
    """Norm of some tokens."""
    first = tl.program_id(0).to(tl.int64) * block_n
    near = tl.arange(0, block_n)
    channels = tl.arange(0, block_c)
    keep = channels < count
    there_n = first + near < tokens
    there = there_n[:, None] & keep[None, :]
    where = first * count + near[:, None] * count + channels[None, :]
    value = tl.load(x + where, there, 0.0).to(tl.float32)
    center = tl.sum(tl.where(keep[None, :], value, 0.0), 1) / count
    value = tl.where(keep[None, :], value - center[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(value * value, 1) / count + eps)
    weight = tl.load(gamma + channels, keep, 0.0).to(tl.float32)
    bias = tl.load(beta + channels, keep, 0.0).to(tl.float32)
    row = value * scale[:, None] * weight[None, :] + bias[None, :]
    tl.store(normed + where, row.to(normed.dtype.element_ty), there)
    tl.store(mean + first + near, center, there_n)
    tl.store(rstd + first + near, scale, there_n)


@triton.jit
def layer_norm_grad_kernel(
    d_normed,
    d_skip,
    x,
    mean,
    rstd,
    gamma,
    d_x,
    table,
    tokens,
    programs,
    count: tl.constexpr,
    block_n: tl.constexpr,
    block_c: tl.constexpr,
):
    """Gradient of the norm's input, plus ``d_skip``, and each program's part of the parameters' gradients."""
    program = tl.program_id(0)
    channels = tl.arange(0, block_c)
    keep = channels < count
    weight = tl.load(gamma + channels, keep, 0.0).to(tl.float32)
    d_gamma = tl.zeros([block_n, block_c], tl.float32)
    d_beta = tl.zeros([block_n, block_c], tl.float32)
    near = tl.arange(0, block_n)
    for step in range(program, tl.cdiv(tokens, block_n), programs):
        first = tl.cast(step, tl.int64) * block_n
        there_n = first + near < tokens
        there = there_n[:, None] & keep[None, :]
        where = first * count + near[:, None] * count + channels[None, :]
        grad = tl.load(d_normed + where, there, 0.0).to(tl.float32)
        center = tl.load(mean + first + near, there_n, 0.0)
        scale = tl.load(rstd + first + near, there_n, 0.0)
        value = (tl.load(x + where, there, 0.0).to(tl.float32) - center[:, None]) * scale[:, None]
        d_gamma += tl.where(there, grad * value, 0.0)
        d_beta += grad
        grad = grad * weight[None, :]
        along = tl.sum(tl.where(there, grad * value, 0.0), 1) / count
        result = (grad - tl.sum(grad, 1)[:, None] / count - value * along[:, None]) * scale[:, None]
        if d_skip is not None:
            result += tl.load(d_skip + where, there, 0.0).to(tl.float32)
        tl.store(d_x + where, result.to(d_x.dtype.element_ty), there)
    table += program.to(tl.int64) * 2 * count
    tl.store(table + channels, tl.sum(d_gamma, 0), keep)
    tl.store(table + count + channels, tl.sum(d_beta, 0), keep)
