"""Export a segmentor in several forms, and show what each costs and gains on the config's test set.

The table has mIoU, the share of labels that are PyTorch's, the largest error of a score, and the time for one
image. Use it before you choose int8 or another precision: what a model loses depends on the model.
"""

import argparse
import functools
import sys
from pathlib import Path

from mmcoat import cli, runs
from mmcoat.errors import UsageError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
try:
    from benchmarks import programs
except ModuleNotFoundError as error:
    sys.exit(cli.needs_checkout(__file__, error, 'export,benchmark'))


@cli.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.set_defaults(launcher='none', local_rank=0)
    programs.add_arguments(parser)
    args = parser.parse_args()
    for name, value in (('--images', args.images), ('--repeats', args.repeats)):
        if value is not None and value < 1:
            raise UsageError(f'{name} must be at least 1, got {value}')
    if min(args.shape) < 1:
        raise UsageError(f'--shape must be two whole numbers from 1, got {args.shape}')
    if args.calibration is None and any(name.endswith('int8') for name in args.programs):
        raise UsageError(
            'int8 needs --calibration DIR, a folder of images; or leave it out of --programs'
        )
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    args.work_dir = str(args.out)
    runs.set_run(cfg, args, stages=('test',))
    for path in programs.run(cfg, args, functools.partial(print, flush=True)):
        print(path)


if __name__ == '__main__':
    sys.exit(main())
