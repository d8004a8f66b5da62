"""Trace the operators through AOTAutograd as torch.compile would: ``python -m tests.ops.fused.traced``.

Needs Triton without TRITON_INTERPRET. One line of JSON per kernel: which of its arguments PyTorch's
analysis of the kernel found to be written. The driver is a stand-in, for there need not be a GPU.
"""

import json
import sys
from collections.abc import Sequence

import torch
import triton
from functorch.compile import aot_function
from torch import Tensor
from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.backends.compiler import GPUTarget

from mmcoat.ops import fused


class Driver:
    """What the analysis asks a driver for."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget('cuda', 90, 32)


def every_operator(
    qkv_cls, qkv, weights: Sequence[Tensor], biases: Sequence[Tensor], gamma
) -> Tensor:
    """Each operator once, in a chain."""
    filters = fused.pack_filters(weights, biases, 2)
    out_cls, out = fused.conv_attention(qkv_cls, qkv, filters, 2, 0.3)
    maps = [out, out[:, ::2].contiguous()]
    large, small = fused.scale_exchange(maps, maps, [None, gamma[:1].detach()])
    x = fused.conv_pos_enc(large, gamma.view(-1, 1, 1, 1), gamma)
    matrix = gamma[:, None] * gamma
    layers = (matrix, matrix), (gamma, gamma)
    x = fused.norm_mlp((x,), gamma, gamma, 1e-6, *layers, gamma[:1].detach())[0]
    return sum(t.sum() for t in (out_cls, small, x))


def main() -> None:
    triton.runtime.driver.set_active(Driver())
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return graph

    def function(qkv_cls, qkv, w3, w5, b3, b5, gamma):
        return every_operator(qkv_cls, qkv, [w3, w5], [b3, b5], gamma)

    shapes = (1, 1, 3, 16), (1, 4, 6, 3, 16), (8, 1, 3, 3), (8, 1, 5, 5), (8,), (8,), (16,)
    with FakeTensorMode():
        inputs = [torch.empty(shape, requires_grad=True) for shape in shapes]
        aot_function(function, fw_compiler=keep, bw_compiler=keep)(*inputs).backward()
    for direction, graph in zip(('forward', 'backward'), graphs, strict=True):
        for node in graph.graph.nodes:
            if 'triton_kernel_wrapper' in str(node.target):
                kernel = kernel_side_table.get_kernel(node.kwargs['kernel_idx'])
                written = sorted(node.kwargs['tensors_to_clone'])
                row = dict(direction=direction, kernel=kernel.fn.__name__, written=written)
                sys.stdout.write(json.dumps(row) + '\n')


if __name__ == '__main__':
    main()
