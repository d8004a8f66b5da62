"""From options to files: measure, or read an earlier run, then print the tables and draw the plots."""

import argparse
from collections.abc import Callable
from pathlib import Path

from . import environment
from .arguments import read_options
from .bench import RESULTS_FILE, Benchmark
from .results import Results, merge
from .table import report


def run(args: argparse.Namespace, say: Callable[[str], None]) -> Results:
    """Run the benchmark of a command line.

    Args:
        args: Of :func:`arguments.add_arguments`.
        say: Takes lines for the terminal.

    Raises:
        ValueError: An argument or a results file is not valid.
    """
    if args.plot_only is not None:
        results = merge([Results.read(path) for path in args.plot_only])
        out = args.out or args.plot_only[0].parent
        if len(args.plot_only) > 1:
            if args.out is None:
                raise ValueError(
                    '--plot-only with several files needs --out, to overwrite none of them'
                )
            results.write(out / RESULTS_FILE)
    else:
        options = read_options(args)
        benchmark = Benchmark(options, say)
        say(f'allocator: {environment.allocator()}')
        results, out = benchmark.run(), options.out
    for path in write_report(results, out):
        say(f'wrote {path}')
    try:
        from .plots import draw
    except ImportError:
        say(
            f'no pictures without matplotlib; --plot-only {out / RESULTS_FILE} draws them elsewhere'
        )
    else:
        say(f'drew {len(draw(results, out))} pictures in {out}')
    say('')
    say(report(results))
    return results


def write_report(results: Results, out: Path) -> list[Path]:
    """Write the tables, and return the files of the results."""
    out.mkdir(parents=True, exist_ok=True)
    text, markdown = out / 'table.txt', out / 'table.md'
    text.write_text(report(results))
    markdown.write_text(report(results, markdown=True))
    return [out / RESULTS_FILE, text, markdown]
