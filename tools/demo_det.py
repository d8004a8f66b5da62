"""Draw a COCO data set, train Mask R-CNN with CoaT-Lite Small on it from scratch, evaluate, draw.

The config is the real one, configs/mask_rcnn_coat_lite_s_1x_coco.py; only data root, image scale, batch,
schedule and weights are overridden.
"""

import argparse
import sys

from mmcoat import engine
from mmcoat.demo_det import DetDemoOptions, run_det_demo


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    default = DetDemoOptions()
    parser.add_argument('--work-dir', default=default.work_dir, help='where everything goes')
    parser.add_argument('--iterations', type=int, default=default.iterations, help='training steps')
    parser.add_argument('--batch-size', type=int, default=default.batch_size, help='images a step')
    parser.add_argument(
        '--short-side', type=int, default=default.short_side, help='height of the scenes in pixels'
    )
    parser.add_argument(
        '--train-images', type=int, default=default.train_images, help='scenes to train on'
    )
    parser.add_argument(
        '--val-images', type=int, default=default.val_images, help='scenes to evaluate on'
    )
    parser.add_argument('--lr', type=float, default=default.lr, help='highest learning rate')
    parser.add_argument('--seed', type=int, default=default.seed, help='of scenes and training')
    return parser.parse_args()


@engine.command
def main() -> None:
    run_det_demo(DetDemoOptions(**vars(parse_args())))


if __name__ == '__main__':
    sys.exit(main())
