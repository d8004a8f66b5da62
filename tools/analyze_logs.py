"""Draw and compare the curves of trainings: the loss, metrics, learning rates, whatever was logged.

RUN is a work dir; the logs of a run that was stopped and resumed are joined. Pale lines show the logged
training values; bold lines show smoothed training values, or validation results. Smoothing depends on the
number of values; up to 20 values are not smoothed. The best value of a training curve is that of the bold
line.
"""

import argparse
import json
import sys

from mmcoat import cli
from mmcoat.analysis import logs
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/analyze_logs.py work_dirs/fpn_coat_lite_s_own
  python tools/analyze_logs.py work_dirs/first work_dirs/second --keys loss mIoU lr --out curves.png
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', metavar='RUN', nargs='+', help='work dir, or a scalars.json')
    parser.add_argument(
        '--keys', nargs='+', help='values to show (the loss and the main metric); one panel each'
    )
    parser.add_argument('--out', help='write the curves there: .png, .jpg, .svg or .pdf')
    parser.add_argument(
        '--smooth', type=float, help='weight of the past in the running mean (by length, up to 0.9)'
    )
    parser.add_argument('--json', action='store_true', help='print the table as JSON')
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    if args.smooth is not None and not 0 <= args.smooth < 1:
        raise UsageError(f'--smooth must be from 0 to below 1, got {args.smooth}')
    runs = [logs.read_run(path) for path in args.runs]
    logs.name_apart(runs, args.runs)
    keys = logs.choose_keys(runs, args.keys)
    rows = logs.summarize(runs, keys, args.smooth)
    if args.out:
        from mmcoat.analysis import curves

        curves.save(curves.draw(runs, keys, args.smooth), args.out)
    print(json.dumps(rows, indent=2) if args.json else logs.format_rows(rows))
    for note in logs.find_notes(runs, keys):
        print(f'note: {note}', file=sys.stderr)


if __name__ == '__main__':
    sys.exit(main())
