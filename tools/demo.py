"""Draw a data set, train UperNet with CoaT-Lite Small on it from scratch, evaluate, draw results.

The config is the real one, configs/upernet_coat_lite_s_ade20k.py; only data root, crop size, batch, schedule
and weights are overridden.
"""

import argparse
import sys

from mmcoat import cli
from mmcoat.demo.common import add_demo_arguments, run_demo
from mmcoat.demo.segmentation import SegmentationDemo, SegmentationOptions


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    default = SegmentationOptions()
    add_demo_arguments(parser, default)
    parser.add_argument(
        '--crop', type=int, default=default.crop, help='side of the crops in pixels'
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        default=default.image_size,
        help='size of the scenes in pixels',
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    run_demo(SegmentationDemo(SegmentationOptions(**vars(parse_args()))))


if __name__ == '__main__':
    sys.exit(main())
