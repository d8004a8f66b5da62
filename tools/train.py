"""Train a model: any config of this package, or your own that inherits from one."""

import argparse
import sys

from mmcoat import checkpoints, cli, runs


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Several GPUs: tools/dist_train.sh CONFIG GPUS [options]'
    )
    cli.add_config_arguments(parser)
    cli.add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, or from the latest one in the work dir when none is given',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the actual number of GPUs x batch',
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    runs.set_run(cfg, args, stages=('train', 'val'))
    if args.amp:
        runs.enable_amp(cfg)
    if args.auto_scale_lr:
        runs.enable_auto_scale_lr(cfg)
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if cfg.get('load_from'):
        cfg.load_from = checkpoints.ensure_safe(cfg.load_from)
    runner = runs.build_runner(cfg)
    if args.compile:
        runs.compile_backbone(runner)
    runner.train()


if __name__ == '__main__':
    sys.exit(main())
