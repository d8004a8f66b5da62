"""Compare segmentation configs under one budget: train each with several seeds, test, measure, report.

Runs that are finished in --out are not repeated, and an interrupted run continues where it stopped. The
report lists the settings that were equal for all configs and those that were not.
"""

import argparse
import functools
import sys
from pathlib import Path

from mmcoat import cli

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
try:
    from benchmarks import segmentation
except ModuleNotFoundError as error:
    sys.exit(cli.needs_checkout(__file__, error, 'benchmark'))


@cli.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    segmentation.add_arguments(parser)
    plan = segmentation.read_plan(parser.parse_args())
    for path in segmentation.run(plan, functools.partial(print, flush=True)):
        print(path)


if __name__ == '__main__':
    sys.exit(main())
