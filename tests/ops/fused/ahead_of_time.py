"""Compile the kernels without a GPU: ``python -m tests.ops.fused.ahead_of_time [--all] [--targets 80 90]``.

The operators run on the meta device, where launches are only recorded; each launch is then compiled as
Triton's launcher would compile it. One line of JSON per kernel; needs Triton without TRITON_INTERPRET.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import torch
from torch import Tensor

from mmcoat.ops import fused
from mmcoat.ops.fused.launching import Launch, record_launches

from .common import WIDTHS

# compute capability: KiB of shared memory that a program may have (CUDA's programming guide, table of
# technical specifications): A100; A40, RTX 30; L4, RTX 40; H100, H200; B200; RTX 50
TARGETS = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
FEW = (19, 64)  # head widths that stand for all: not aligned, and the widest
POINTERS = {torch.float32: '*fp32', torch.float16: '*fp16', torch.bfloat16: '*bf16'}


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of the meta device that wants a gradient."""
    return torch.empty(shape, device='meta', dtype=dtype, requires_grad=True)


def run_attention(width: int, dtype: torch.dtype, size: tuple[int, ...] = (2, 64, 64)) -> None:
    """Forward and backward of the core of the conv-attention with heads of a width."""
    channels = 8 * width
    groups = ((3, 2), (5, 3), (7, 3))
    weights = [empty(n * width, 1, k, k) for k, n in groups]
    biases = [empty(n * width) for _, n in groups]
    qkv_cls = empty(size[0], 1, 3, channels, dtype=dtype)
    qkv = empty(*size, 3, channels, dtype=dtype)
    filters = fused.pack_filters(weights, biases, 8)
    outs = fused.conv_attention(qkv_cls, qkv, filters, 8, width**-0.5)
    sum(x.sum() for x in outs).backward()


def run_maps(channels: int, dtype: torch.dtype, size: tuple[int, ...] = (2, 64, 64)) -> None:
    """Forward and backward of everything else."""
    x = empty(*size, channels, dtype=dtype)
    gamma, beta = empty(channels), empty(channels)
    filters = empty(channels, 1, 3, 3), empty(channels)
    fused.conv_pos_enc(x, *filters).sum().backward()
    weights = empty(2 * channels, channels), empty(channels, 2 * channels)
    biases, factor = (empty(2 * channels), empty(channels)), empty(size[0])
    for scale in (None, factor.detach()):
        fused.norm_mlp((x,), gamma, beta, 1e-6, weights, biases, scale)[0].sum().backward()
        scales = [empty(size[0], 8 * n, 8 * n, channels, dtype=dtype) for n in (4, 2, 1)]
        sum(x.sum() for x in fused.scale_exchange(scales, scales, [scale] * 3)).backward()


def specialise(launch: Launch) -> tuple[dict, dict, dict, dict]:
    """Signature, constants, attributes and options of a launch, as Triton's launcher chooses them."""
    constants = dict(launch.constants)
    options = {
        name: constants.pop(name) for name in ('num_warps', 'num_stages') if name in constants
    }
    signature, attributes = {}, {}
    for place, (name, value) in enumerate(
        zip(launch.function.arg_names, launch.args, strict=False)
    ):
        if value is None or (isinstance(value, int) and value == 1):
            constants[name] = value
        elif isinstance(value, Tensor):
            signature[name] = POINTERS[value.dtype]
            attributes[(place,)] = [['tt.divisibility', 16]]
        else:
            signature[name] = 'fp32' if isinstance(value, float) else 'i32'
            if isinstance(value, int) and value % 16 == 0:
                attributes[(place,)] = [['tt.divisibility', 16]]
    signature.update(dict.fromkeys(constants, 'constexpr'))
    names = launch.function.arg_names
    return {name: signature[name] for name in names}, constants, attributes, options


def resources(cubin: bytes) -> dict[str, int]:
    """Registers and bytes of stack of a compiled kernel; spilled registers lie on the stack."""
    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(cubin)
        file.flush()
        tool = knobs.nvidia.cuobjdump.path
        text = subprocess.run(
            [tool, '--dump-resource-usage', file.name], capture_output=True, text=True, check=True
        ).stdout
    found = dict(re.findall(r'(REG|STACK|LOCAL):(\d+)', text))
    return dict(registers=int(found['REG']), stack=int(found['STACK']) + int(found['LOCAL']))


def compile_launch(launch: Launch, target: int) -> dict[str, int | str]:
    """Compile one launch for a compute capability."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature, constants, attributes, options = specialise(launch)
    source = ASTSource(launch.function, signature, constants, attributes)
    kernel = triton.compile(source, target=GPUTarget('cuda', target, 32), options=options)
    return dict(
        kernel=launch.name,
        target=target,
        shared=kernel.metadata.shared,
        vector_loads=kernel.asm['ptx'].count('ld.global.v4'),
        **resources(kernel.asm['cubin']),
    )


def cases(
    everything: bool, widths: tuple[int, ...] = WIDTHS
) -> Iterator[tuple[str, int, torch.dtype]]:
    """(function, head width, dtype): every head width once, in turn in bfloat16 and float32, or all."""
    for place, width in enumerate(widths):
        dtypes = list(POINTERS) if everything else [list(POINTERS)[-1 if place % 2 == 0 else 0]]
        for dtype in dtypes:
            yield 'run_attention', width, dtype
            if everything or width == 19:
                yield 'run_maps', width, dtype


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--all', action='store_true', help='every head width in every dtype')
    parser.add_argument('--few', action='store_true', help=f'head widths {FEW} only')
    parser.add_argument('--targets', type=int, nargs='+', default=[90], choices=list(TARGETS))
    args = parser.parse_args()
    done = set()
    for function, width, dtype in cases(args.all, FEW if args.few else WIDTHS):
        with record_launches() as record:
            globals()[function](
                *((width, dtype) if function == 'run_attention' else (8 * width, dtype))
            )
        for launch in record:
            key = launch.name, str(specialise(launch))
            if key in done:
                continue
            done.add(key)
            for target in args.targets:
                row = dict(width=width, dtype=str(dtype), **compile_launch(launch, target))
                sys.stdout.write(json.dumps(row) + '\n')


if __name__ == '__main__':
    main()
