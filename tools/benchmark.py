"""Measure speed and memory of CoaT against timm's, the paper's code and Swin-T: tables, JSON and plots.

Everyone gets the same weights and must give the same outputs before anything is timed.
"""

import argparse
import functools
import sys

from mmcoat import benchmark, engine


@engine.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    benchmark.add_arguments(parser)
    args = parser.parse_args()
    try:
        benchmark.run(args, functools.partial(print, flush=True))
    except ValueError as error:
        raise engine.UsageError(str(error)) from None


if __name__ == '__main__':
    sys.exit(main())
