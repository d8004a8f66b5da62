"""Check every image, label map and annotation of a config's data sets, and report what harms training."""

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmcoat import cli, runs
from mmcoat.datasets import checks
from mmcoat.datasets.checks import tables, writing
from mmcoat.errors import UsageError

COLUMNS = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Exit status: 2 with errors, 0 with warnings or nothing.'
    )
    cli.add_config_arguments(parser)
    parser.add_argument('--splits', default='train,val', help='data sets to check (train,val)')
    parser.add_argument(
        '--sample', type=int, metavar='N', help='open only N images of each, evenly spread (all)'
    )
    parser.add_argument('--workers', type=int, help='files opened at once (as many as cores)')
    parser.add_argument('--out', metavar='JSON', help='write the report into a JSON file')
    parser.add_argument('--picture', metavar='PNG', help='draw classes, sizes and areas')
    return parser.parse_args()


@cli.command
def main() -> int:
    args = parse_args()
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    for name in ('sample', 'workers'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UsageError(f'--{name} must be 1 or more, not {getattr(args, name)}')
    writing.check_targets(args.out, args.picture)
    sets = runs.named_datasets(cfg, args.splits.replace(' ', '').split(','))
    with Progress(*COLUMNS, TimeRemainingColumn(), transient=True) as bar:
        rows = {split: bar.add_task(split, total=None) for split, _ in sets}
        report = checks.check_sets(
            sets,
            cfg,
            args.sample,
            args.workers,
            lambda split, done, total: bar.update(rows[split], completed=done, total=total),
        )
    tables.show(report, Console())
    writing.write(report, args.out, args.picture)
    return report.exit_status


if __name__ == '__main__':
    sys.exit(main())
