"""Test a checkpoint and compare with the numbers that were published for it: top-1, box AP, mask AP.

NAME is that of a published file (mask_rcnn_coat_small_3x_coco) or of a config, or a config's path. The
numbers are the authors', as the metafiles have them. Exit status: 0 where all agree, 1 where one does not, 2
where something is missing.
"""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from mmcoat import cli, runs
from mmcoat.analysis import verification
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/verify_checkpoint.py coat_lite_small auto --data-root data/imagenet
  python tools/verify_checkpoint.py mask_rcnn_coat_small_3x_coco small_3x.pth --data-root data/coco
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', metavar='NAME', help='published file, config, or its path')
    parser.add_argument('checkpoint', help="file or URL; 'auto': the published one")
    parser.add_argument('--data-root', help="where the data set is (the config's data_root)")
    parser.add_argument(
        '--tolerance', type=float, default=verification.TOLERANCE, help='in points (0.1)'
    )
    parser.add_argument('--metafile', help="published numbers of your own, in OpenMMLab's form")
    parser.add_argument('--json', metavar='FILE', help='write the comparison there, too')
    parser.add_argument('--work-dir', help='where logs go (work_dirs/verify_<config name>)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=cli.Options, metavar='KEY=VALUE', help='as of test.py'
    )
    return parser.parse_args()


def show(rows: list[verification.Row], title: str) -> None:
    """Print the comparison."""
    table = Table(title=title, title_justify='left')
    table.add_column('metric')
    for name in ('measured', 'published', 'difference'):
        table.add_column(name, justify='right')
    table.add_column('')
    for row in rows:
        numbers = f'{row.measured:.2f}', f'{row.published:g}', f'{row.difference:+.2f}'
        table.add_row(row.metric, *numbers, 'agrees' if row.agrees else '[bold red]differs[/]')
    Console().print(table, highlight=False)


@cli.command
def main() -> int:
    args = parse_args()
    if args.tolerance < 0:
        raise UsageError(f'--tolerance must be 0 or more, got {args.tolerance}')
    source = None if args.checkpoint == 'auto' else args.checkpoint
    claim = verification.find_claim(args.name, source, args.cfg_options, args.metafile)
    if args.data_root:
        runs.set_data_root(claim.cfg, args.data_root)
    metrics, images = verification.measure(claim, args.work_dir)
    rows = verification.compare(metrics, claim.numbers, args.tolerance)
    show(rows, f'{claim.name} on {images} images')
    note = verification.find_note(claim, images)
    if note:
        print(f'note: {note}', file=sys.stderr)
    if args.json:
        verification.write(args.json, claim, images, rows)
    return 0 if all(row.agrees for row in rows) else 1


if __name__ == '__main__':
    sys.exit(main())
