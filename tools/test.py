"""Evaluate a checkpoint: one of ours, or an official CoaT file as published."""

import argparse
import sys

from mmcoat import cli, runs
from mmcoat.apis import fast, models


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options]',
    )
    cli.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    cli.add_run_arguments(parser)
    parser.add_argument(
        '--out',
        help='keep the predictions: a folder of label maps in segmentation, a .pkl file elsewhere',
    )
    parser.add_argument('--show-dir', help='save pictures of the predictions there')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window')
    parser.add_argument('--interval', type=int, default=1, help='draw every n-th image')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--prepare',
        choices=list(models.DTYPES),
        help='cast, merge and pack the weights once, and compute in this precision',
    )
    parser.add_argument(
        '--spare-memory',
        action='store_true',
        help='segmentation: enlarge scores a few classes at a time; the same labels in far less memory, '
        'on a CPU in less time too; predictions hold no scores',
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    if args.prepare:
        cli.keep_memory()
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    runs.set_run(cfg, args, stages=('test',))
    runs.enable_drawing(cfg, args.show, args.show_dir, args.wait_time, args.interval)
    if args.tta:
        runs.enable_tta(cfg)
    if args.out:
        runs.keep_predictions(cfg, args.out)
    # Otherwise the runner would load the work dir's last checkpoint instead of the given one.
    cfg.load_from, cfg.resume = None, False
    runner = runs.build_runner(cfg)
    runs.load_strictly(runner, args.checkpoint)
    if args.compile:
        runs.compile_backbone(runner)
    fast.set_up_test(runner, args.prepare, args.spare_memory)
    runner.test()


if __name__ == '__main__':
    sys.exit(main())
