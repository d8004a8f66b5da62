"""Draw a COCO data set, train Mask R-CNN with CoaT-Lite Small on it from scratch, evaluate, draw results.

The config is the real one, configs/mask_rcnn_coat_lite_s_1x_coco.py; only data root, image scale, batch,
schedule and weights are overridden.
"""

import argparse
import sys

from mmcoat import cli
from mmcoat.demo.common import add_demo_arguments, run_demo
from mmcoat.demo.detection import DetectionDemo, DetectionOptions


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    default = DetectionOptions()
    add_demo_arguments(parser, default)
    parser.add_argument(
        '--short-side', type=int, default=default.short_side, help='height of the scenes in pixels'
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    run_demo(DetectionDemo(DetectionOptions(**vars(parse_args()))))


if __name__ == '__main__':
    sys.exit(main())
