"""Draw a COCO data set, train Mask R-CNN with CoaT-Lite Small on it from scratch, evaluate, draw.

The config is the real one, configs/mask_rcnn_coat_lite_s_1x_coco.py; only data root, image scale, batch,
schedule and weights are overridden.
"""

import argparse
import sys

from mmcoat import cli
from mmcoat.demo.detection import DetDemoOptions, run_det_demo
from mmcoat.demo.segmentation import add_demo_arguments


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    default = DetDemoOptions()
    add_demo_arguments(parser, default)
    parser.add_argument(
        '--short-side', type=int, default=default.short_side, help='height of the scenes in pixels'
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    run_det_demo(DetDemoOptions(**vars(parse_args())))


if __name__ == '__main__':
    sys.exit(main())
