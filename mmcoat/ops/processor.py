"""What this machine's processor has: asked once, when this module is imported."""

import logging

import torch
from mmengine.logging import print_log

CAPABILITY: str = torch.backends.cpu.get_cpu_capability()  # AVX512, AVX2, ...
HAS_AVX512 = CAPABILITY.startswith('AVX512')
# matrix units for reduced precision
HAS_AMX: bool = getattr(torch.cpu, '_is_amx_tile_supported', bool)()
# whether products in bfloat16 are faster than in float32
HAS_BF16: bool = HAS_AMX or getattr(torch.cpu, '_is_avx512_bf16_supported', bool)()

_warned = False


def warn_of_slow_bf16(device: torch.device | str) -> None:
    """Say once that bfloat16 does not pay on ``device``, if it is a CPU without AVX-512."""
    global _warned
    if torch.device(device).type != 'cpu' or HAS_AVX512 or _warned:
        return
    _warned = True
    print_log(
        'bfloat16 on a processor without AVX-512 takes many times as long as float32 (measured: 13 times); '
        'float32 is the better choice here',
        logger='current',
        level=logging.WARNING,
    )
