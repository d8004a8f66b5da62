"""Compare segmentation configs under one budget: train each with several seeds, test, measure, report.

What is finished in --out is not done again, and a run that was stopped goes on where it stopped. The report
says what was equal for all and what was not.
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
    sys.exit(
        f'benchmark_segmentation.py: error: {error}; it runs in a checkout, '
        'with pip install ".[benchmark]"'
    )


@cli.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    segmentation.add_arguments(parser)
    plan = segmentation.read_plan(parser.parse_args())
    for path in segmentation.run(plan, functools.partial(print, flush=True)):
        print(path)


if __name__ == '__main__':
    sys.exit(main())
