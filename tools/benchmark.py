"""Measure speed and memory of CoaT, timm's CoaT, the paper's code and Swin-T: tables, JSON and plots.

All CoaT implementations get the same weights, and an implementation is timed only if its outputs are correct.
"""

import argparse
import functools
import sys
from pathlib import Path

from mmcoat import cli

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
try:
    import benchmarks
except ModuleNotFoundError as error:
    sys.exit(cli.needs_checkout(__file__, error, 'benchmark'))


@cli.command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    benchmarks.add_arguments(parser)
    benchmarks.run(parser.parse_args(), functools.partial(print, flush=True))


if __name__ == '__main__':
    sys.exit(main())
