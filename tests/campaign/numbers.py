"""Large activations in fp16 and bf16 from 512 to 2048 pixels, against float64 and the paper's formulation.

    python -m tests.campaign.numbers                            # long: fp16 is slow on a CPU
    python -m tests.campaign.numbers --sizes 512 --dtypes bfloat16  # some of the cases

The fast part is ``tests/ops/test_precision.py``, which says how weights and keys are made large. The exit
status is 1 when a number is not finite, or an error is more than ``LIMIT`` times the official formulation's.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable

import torch

from mmcoat.ops import plain
from tests.ops.test_precision import OFFICIAL, model_errors

SIZES, ARCHS = (512, 1024, 2048), ('lite_tiny', 'tiny')
DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)
LIMIT = 1.1


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sizes', type=int, nargs='+', default=SIZES)
    parser.add_argument('--archs', nargs='+', default=ARCHS, choices=ARCHS)
    parser.add_argument('--dtypes', nargs='+', default=list(DTYPES), choices=list(DTYPES))
    return parser.parse_args()


def main(args: argparse.Namespace, tell: Callable[[str], None]) -> int:
    """Run the cases, print a table of them, and return the exit status."""
    tell(
        '| arch | pixels | precision | largest number | key | error, official | ours | ratio | s |'
    )
    tell('|---|---|---|---|---|---|---|---|---|')
    good = True
    for size, arch, dtype, autocast in itertools.product(
        args.sizes, args.archs, args.dtypes, [True, False]
    ):
        begin = time.monotonic()
        forms = [OFFICIAL, plain]
        (official, ours), peaks = model_errors(arch, size, DTYPES[dtype], autocast, forms)
        ratio = (ours / official).max().item()  # over the maps
        good &= ratio <= LIMIT and bool(ours.isfinite().all())
        tell(
            f'| {arch} | {size} | {dtype}{" autocast" if autocast else ""} | {peaks["number"]:.0f} '
            f'| {peaks["key"]:.0f} | {official.max():.4f} | {ours.max():.4f} | {ratio:.2f} '
            f'| {time.monotonic() - begin:.0f} |'
        )
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(parse_args(), lambda line: print(line, flush=True)))
