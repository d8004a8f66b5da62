"""GELU and its gradient, with one read."""

import triton
import triton.language as tl


@triton.jit
def gelu_grad_kernel(hidden, grad, activation, d_hidden, count, block: tl.constexpr):
    """Exact GELU (with erf) and its gradient."""
    first = tl.program_id(0).to(tl.int64) * block
    near = tl.arange(0, block)
    there = first + near < count
    x = tl.load(hidden + first + near, there, 0.0).to(tl.float32)
    share = 0.5 + 0.5 * tl.erf(x * 0.7071067811865476)  # the normal distribution
    value = (x * share).to(activation.dtype.element_ty)
    tl.store(activation + first + near, value, there)
    slope = share + x * tl.exp(-0.5 * x * x) * 0.3989422804014327
    result = tl.load(grad + first + near, there, 0.0).to(tl.float32) * slope
    tl.store(d_hidden + first + near, result.to(d_hidden.dtype.element_ty), there)
