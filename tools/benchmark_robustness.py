"""Test a segmentor on corrupted images: noise, blur, weather, JPEG, light, in five severities.

It writes a table, a plot and JSON. After an interruption, the same command continues where it stopped.
"""

import argparse
import functools
import sys
from pathlib import Path

from mmcoat import cli, runs
from mmcoat.errors import UsageError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
try:
    from benchmarks import robustness
except ModuleNotFoundError as error:
    sys.exit(cli.needs_checkout(__file__, error, 'benchmark'))


@cli.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    cli.add_run_arguments(parser)
    robustness.add_arguments(parser)
    args = parser.parse_args()
    if args.images is not None and args.images < 1:
        raise UsageError(f'--images must be at least 1, got {args.images}')
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    args.work_dir = args.work_dir or str(args.out / 'log')
    runs.set_run(cfg, args, stages=('test',))
    for path in robustness.run(cfg, args, functools.partial(print, flush=True)):
        print(path)


if __name__ == '__main__':
    sys.exit(main())
