"""Draw a data set, train UperNet with CoaT-Lite Small on it from scratch, evaluate, draw the results.

The config is the real one, configs/upernet_coat_lite_s_ade20k.py; only data root, crop size, batch, schedule
and weights are overridden.
"""

import argparse
import sys

from mmcoat import engine
from mmcoat.demo import DemoOptions, run_demo


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    default = DemoOptions()
    parser.add_argument('--work-dir', default=default.work_dir, help='where everything goes')
    parser.add_argument('--iterations', type=int, default=default.iterations, help='training steps')
    parser.add_argument('--batch-size', type=int, default=default.batch_size, help='images a step')
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
    run_demo(DemoOptions(**vars(parse_args())))


if __name__ == '__main__':
    sys.exit(main())
