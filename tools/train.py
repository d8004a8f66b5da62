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
        help='continue from CHECKPOINT, or from the newest complete one in the work dir if none is given; '
        'auto-or-new starts a new run if there is none',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help="start a new run in a used work dir: the earlier run's checkpoints are deleted",
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the actual number of GPUs x batch',
    )
    parser.add_argument(
        '--no-check-data',
        dest='check_data',
        action='store_false',
        help='do not open a sample of images and labels first (tools/check_dataset.py opens all)',
    )
    parser.add_argument(
        '--skip-broken',
        action='store_true',
        help='train without the images that cannot be read; each is named in the log',
    )
    parser.add_argument(
        '--debug-nan',
        action='store_true',
        help='stop at the first module whose output is NaN or infinite, and name it (slower)',
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
    if args.debug_nan:
        runs.enable_debug_nan(cfg)
    runs.protect(cfg)
    with runs.locked(cfg.work_dir):
        runs.set_resume(cfg, args.resume, args.overwrite)
        if cfg.get('load_from'):
            cfg.load_from = checkpoints.ensure_safe(cfg.load_from)
        runner = runs.build_runner(cfg)
        if args.compile:
            runs.compile_backbone(runner)
        runs.require_trainable(runner.model)
        with runs.one_line_faults(runner):
            runner.train()


if __name__ == '__main__':
    sys.exit(main())
