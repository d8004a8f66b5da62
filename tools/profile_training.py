"""Measure the parts of a training iteration: loading, backbone, heads, backward, optimizer."""

import argparse
import statistics
import sys

from mmcoat import cli, runs
from mmcoat.errors import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Nothing is evaluated or saved. Weights are random unless the config loads some '
        '(--cfg-options model.backbone.init_cfg=None needs no network).',
    )
    cli.add_config_arguments(parser)
    cli.add_run_arguments(parser)
    parser.add_argument('--amp', action='store_true', help='mixed precision, as in train.py')
    parser.add_argument('--iterations', type=int, default=10, help='measured iterations (10)')
    parser.add_argument('--warmup', type=int, default=3, help='iterations before them (3)')
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    if args.iterations < 1 or args.warmup < 0:
        raise UsageError('--iterations must be at least 1 and --warmup at least 0')
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    runs.set_run(cfg, args, stages=('train',))
    if args.amp:
        runs.enable_amp(cfg)
    runs.only_train(cfg, args.warmup + args.iterations)
    runner = runs.build_runner(cfg)
    if args.compile:
        runs.compile_backbone(runner)
    from mmcoat.analysis.profiling import profile_training

    seconds = profile_training(runner, args.iterations, args.warmup)
    medians = {part: statistics.median(values) for part, values in seconds.items()}
    total = sum(medians.values())
    print(f'\n{"part":16}{"ms":>9}{"share":>8}   median of {args.iterations} iterations')
    for part, value in medians.items():
        print(f'{part:16}{1e3 * value:9.1f}{value / total:8.1%}')
    print(f'{"sum":16}{1e3 * total:9.1f}')


if __name__ == '__main__':
    sys.exit(main())
