"""Count parameters and MACs (FLOPs in most papers): a table with a row per stage and per part.

ARCH is a name of the arch zoo; it is counted with its ImageNet classifier, as in the paper. CONFIG is a whole
model; a detector's proposals are those for a blank image and untrained weights.

Not counted: norms, softmax, activations, sums, elementwise products, interpolation, and MMCV's own operators
(RoIAlign, NMS, deformable attention and convolution), which PyTorch's counter cannot see.
"""

import argparse
import sys

from mmcoat import ARCH_ZOO, cli, runs
from mmcoat.analysis import flops
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/get_flops.py lite_small
  python tools/get_flops.py configs/upernet_coat_lite_s_ade20k.py --shape 512 2048
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', metavar='CONFIG|ARCH', help=f'config, or one of {list(ARCH_ZOO)}')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar=('H', 'W'),
        help='height and width, one number for a square (default: 224; 512 in segmentation, '
        "800 1280 in detection, a classifier's own crop)",
    )
    return parser.parse_args()


def parse_shape(numbers: list[int]) -> tuple[int, int]:
    """Return (H, W) from one or two numbers."""
    if len(numbers) > 2 or min(numbers) < 1:
        raise UsageError(f'--shape takes one or two positive numbers, got {numbers}')
    return numbers[0], numbers[-1]


@cli.command
def main() -> None:
    args = parse_args()
    shape = parse_shape(args.shape) if args.shape else None
    if args.model in ARCH_ZOO:
        shape = shape or (224, 224)
        rows = flops.count_arch(args.model, shape)
    else:
        shape, rows = flops.count_config(runs.load_config(args.model), shape)
    print(f'{args.model} at {shape[0]} x {shape[1]} (H x W), one image')
    print(flops.format_rows(rows))


if __name__ == '__main__':
    sys.exit(main())
