"""Command line of the segmentation benchmark."""

import argparse
from pathlib import Path

from mmcoat import cli
from mmcoat.errors import UsageError

from .plan import BUDGETS, INITS, Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all arguments of ``tools/benchmark_segmentation.py``."""
    parser.add_argument('--configs', nargs='+', required=True, type=Path, help='configs to compare')
    parser.add_argument('--data-root', required=True, help='data set, in the layout of the configs')
    parser.add_argument('--seeds', type=int, default=3, help='runs of each config (default: 3)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark_segmentation'))
    parser.add_argument(
        '--budget',
        choices=BUDGETS,
        default='iterations',
        help='what is the same for all: iterations, or minutes of training, for which the iterations are '
        "counted from each config's own speed in a short run before",
    )
    parser.add_argument(
        '--amount',
        type=float,
        help="iterations or minutes (default: the configs' own iterations)",
    )
    parser.add_argument(
        '--init',
        choices=INITS,
        default='pretrained',
        help="pretrained: the configs' ImageNet weights; scratch: none, for anybody",
    )
    parser.add_argument('--gpus', type=int, default=1, help='GPUs (or CPU processes) of each run')
    parser.add_argument('--validations', type=int, default=10, help='points of a learning curve')
    parser.add_argument('--repeats', type=int, default=10, help='rounds of the latency measurement')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=cli.Options,
        metavar='KEY=VALUE',
        help='settings for all configs alike, for example crop_size=128,128 train_dataloader.batch_size=8',
    )
    parser.add_argument(
        '--report-only', action='store_true', help='train nothing: report what is finished'
    )


def read_plan(args: argparse.Namespace) -> Plan:
    """Check the arguments and return the plan.

    Raises:
        UsageError: A number is out of range, a config is missing, or two have the same name.
    """
    for name in ('seeds', 'gpus', 'validations', 'repeats'):
        if getattr(args, name) < 1:
            raise UsageError(f'--{name} must be at least 1, got {getattr(args, name)}')
    if args.amount is not None and args.amount <= 0:
        raise UsageError(f'--amount must be above 0, got {args.amount}')
    if args.budget == 'minutes' and args.amount is None:
        raise UsageError('--budget minutes needs --amount MINUTES')
    for path in args.configs:
        if not path.is_file():
            raise UsageError(f'config {path} does not exist')
    names = [path.stem for path in args.configs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f'configs must have different names, {sorted(twice)} stands twice')
    return Plan(
        configs={path.stem: path for path in args.configs},
        data_root=args.data_root,
        seeds=args.seeds,
        out=args.out,
        budget=args.budget,
        amount=args.amount,
        init=args.init,
        gpus=args.gpus,
        validations=args.validations,
        repeats=args.repeats,
        options=args.cfg_options or {},
        report_only=args.report_only,
    )
