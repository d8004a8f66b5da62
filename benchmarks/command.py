"""The command line: options, the run that they ask for, and the files that it leaves.

An invalid argument raises a UsageError that names it and the choices.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmcoat.apis.models import choose_device
from mmcoat.arch import ARCH_ZOO
from mmcoat.errors import UsageError

from . import environment
from .bench import Benchmark, Options
from .cases import DTYPES, MODES, WHOLE_MODELS, Grid
from .contenders import COMPILED, GRAPH, HELP, plan, standard_contenders
from .presets import PRESETS, WHOLE_MODEL_GRIDS
from .results import RESULTS_FILE, Results, merge
from .table import report

EXAMPLES = f"""contenders:
{chr(10).join(f'  {name:<11}{text}' for name, text in HELP.items())}
  NAME{COMPILED} is NAME through torch.compile, NAME{GRAPH} is NAME replayed as a CUDA graph

presets (options given beside a preset replace its own):
{chr(10).join(f'  {name:<11}{preset.help}' for name, preset in PRESETS.items())}

examples:
  python tools/benchmark.py --archs lite_small --sizes 512 --contenders default timm --threads 2
  python tools/benchmark.py --archs tiny small --sizes 224@1,64 512@1 800x1344@2 --modes inference train
  python tools/benchmark.py --preset cpu --threads 2 --out work_dirs/benchmark_cpu
  python tools/benchmark.py --preset gpu --official ../CoaT
  python tools/benchmark.py --whole-models upernet --sizes 512@2 --modes train
  python tools/benchmark.py --plot-only work_dirs/benchmark/results.json

The first call of a compiled contender takes what the compiler's cache on disk leaves to do; set
TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 to measure compilation in full.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument_group('what').add_argument
    some = partial(add, nargs='+')
    archs, models = ' '.join(ARCH_ZOO), ' '.join(WHOLE_MODELS)
    sizes = '512, 800x1344 (H x W), or with batches of its own 224@1,64 (512)'
    dtypes = f'{" ".join(DTYPES)}; bf16 is autocast (fp32)'
    modes = f'{" ".join(MODES)}: forward and backward (inference)'
    whole = f'whole models of this package instead of backbones, {models} (both)'
    add('--preset', choices=list(PRESETS), help='a set of cases, see below')
    some('--archs', metavar='ARCH', help=f"'all', or some of {archs} (lite_small)")
    some('--sizes', metavar='SIZE', help=sizes)
    some('--dtypes', metavar='DTYPE', help=dtypes)
    some('--modes', metavar='MODE', help=modes)
    some('--contenders', metavar='NAME', help='see below (those that can be there)')
    add('--official', type=Path, metavar='PATH', help="checkout of the paper's repository")
    add('--whole-models', nargs='*', metavar='MODEL', help=whole)
    add = parser.add_argument_group('how').add_argument
    seconds = 'seconds for each contender of a case at least (0)'
    add('--device', help='cpu, cuda, cuda:1 (cuda where there is one)')
    add('--threads', type=int, metavar='N', help="CPU threads (PyTorch's choice)")
    add('--repeats', type=int, default=10, metavar='N', help='rounds at least (10)')
    add('--seconds', type=float, default=0, metavar='S', help=seconds)
    add('--warmup', type=int, metavar='N', help='steps before timing (2; CUDA 5)')
    add = parser.add_argument_group('results').add_argument
    out = (
        f'{RESULTS_FILE}, table.txt, table.md and plots go there ({Options.out}; with --plot-only '
        "FILE the file's folder)"
    )
    plot = 'tables and plots of one results.json, or of several from the same machine together'
    add('--out', type=Path, metavar='DIR', help=out)
    add('--plot-only', nargs='+', type=Path, metavar='FILE', help=plot)


def read_options(args: argparse.Namespace) -> Options:
    """Return the options from the arguments."""
    device = choose_device(args.device or 'auto')
    given = {name: getattr(args, name) for name in ('threads', 'repeats', 'seconds', 'warmup')}
    for name, value in given.items():
        if value is not None and value < (0 if name in ('seconds', 'warmup') else 1):
            raise UsageError(f'--{name} must be positive, got {value}')
    if args.warmup is None:
        given['warmup'] = 5 if device.type == 'cuda' else 2
    changes = {
        name: tuple(value)
        for name in ('archs', 'sizes', 'dtypes', 'modes', 'contenders')
        if (value := getattr(args, name)) is not None
    }
    if args.archs == ['all']:
        changes['archs'] = tuple(ARCH_ZOO)
    grids = []
    for grid in _grids(args):
        standard = standard_contenders(grid.model, device.type, args.official is not None)
        names = dict(contenders=grid.contenders or standard)
        grids.append(replace(grid, **names | changes))
    out = args.out or Options.out
    return Options(plan(grids), device, official=args.official, out=out, **given)


def _grids(args: argparse.Namespace) -> list[Grid]:
    grids = list(PRESETS[args.preset].grids) if args.preset else []
    if args.whole_models is None:
        return grids or [Grid()]
    wanted = args.whole_models or WHOLE_MODELS
    for name in wanted:
        if name not in WHOLE_MODELS:
            raise UsageError(f'--whole-models must be some of {WHOLE_MODELS}, got {name!r}')
    return grids + [grid for grid in WHOLE_MODEL_GRIDS if grid.model in wanted]


def run(args: argparse.Namespace, say: Callable[[str], None]) -> Results:
    """Measure, or read earlier runs; then write and print the tables, and draw the plots.

    Args:
        args: Of :func:`add_arguments`.
        say: Takes lines for the terminal.
    """
    if args.plot_only is not None:
        several = len(args.plot_only) > 1
        if several and args.out is None:
            raise UsageError(
                '--plot-only with several files needs --out, to overwrite none of them'
            )
        results = merge([Results.read(path) for path in args.plot_only])
        out = args.out or args.plot_only[0].parent
        if several:
            results.write(out / RESULTS_FILE)
    else:
        options = read_options(args)
        benchmark, out = Benchmark(options, say), options.out
        say(f'allocator: {environment.allocator()}')
        results = benchmark.run()
    out.mkdir(parents=True, exist_ok=True)
    (out / 'table.txt').write_text(report(results))
    (out / 'table.md').write_text(report(results, markdown=True))
    for name in (RESULTS_FILE, 'table.txt', 'table.md'):
        say(f'wrote {out / name}')
    try:
        from .plots import draw
    except ImportError:
        file = out / RESULTS_FILE
        say(f'no pictures without matplotlib; --plot-only {file} draws them elsewhere')
    else:
        say(f'drew {len(draw(results, out))} pictures in {out}')
    say('')
    say(report(results))
    return results
