"""Draw the images of a config's data set with their annotations, as training sees them."""

import argparse
import sys

from mmcoat import cli, runs
from mmcoat.visualization.browse import browse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_config_arguments(parser)
    parser.add_argument('--output-dir', default='browse', help='where the pictures go (browse)')
    parser.add_argument(
        '--phase', choices=['train', 'val', 'test'], default='train', help='which data set'
    )
    parser.add_argument('--number', type=int, default=20, help='how many images (20)')
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    written = browse(cfg, args.phase, args.output_dir, args.number)
    print(f'{written} pictures in {args.output_dir}')


if __name__ == '__main__':
    sys.exit(main())
