"""The command line: options and presets, and how they are combined."""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from mmcoat.arch import ARCH_ZOO

from .bench import Options
from .cases import DTYPES, MODES, WHOLE_MODELS, Grid, check_grid, parse_size
from .contenders import COMPILED, GRAPH, HELP, parse_contender
from .presets import PRESETS, WHOLE_MODEL_GRIDS, standard_contenders

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
    """Add all options; with a default of None a preset sets the value."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    _add_what(parser)
    _add_how(parser)
    _add_where_to(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('what')
    group.add_argument('--preset', choices=list(PRESETS), help='a set of cases, see below')
    group.add_argument(
        '--archs',
        nargs='+',
        metavar='ARCH',
        help=f"'all', or some of {' '.join(ARCH_ZOO)} (lite_small)",
    )
    group.add_argument(
        '--sizes',
        nargs='+',
        metavar='SIZE',
        help='512, 800x1344 (H x W), or with batches of its own 224@1,64 (512)',
    )
    group.add_argument(
        '--dtypes', nargs='+', metavar='DTYPE', help=f'{" ".join(DTYPES)}; bf16 is autocast (fp32)'
    )
    group.add_argument(
        '--modes',
        nargs='+',
        metavar='MODE',
        help=f'{" ".join(MODES)}: forward and backward (inference)',
    )
    group.add_argument(
        '--contenders', nargs='+', metavar='NAME', help='see below (those that can be there)'
    )
    group.add_argument(
        '--official', type=Path, metavar='PATH', help="checkout of the paper's repository"
    )
    group.add_argument(
        '--whole-models',
        nargs='*',
        metavar='MODEL',
        help=f'whole models of this package instead of backbones, {" ".join(WHOLE_MODELS)} (both)',
    )


def _add_how(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('how')
    group.add_argument('--device', help='cpu, cuda, cuda:1 (cuda where there is one)')
    group.add_argument('--threads', type=int, metavar='N', help="CPU threads (PyTorch's choice)")
    group.add_argument('--repeats', type=int, metavar='N', help='rounds at least (10)')
    group.add_argument(
        '--seconds',
        type=float,
        metavar='S',
        help='seconds for each contender of a case at least (0)',
    )
    group.add_argument('--warmup', type=int, metavar='N', help='steps before timing (2; CUDA 5)')


def _add_where_to(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('results')
    group.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='results.json, table.txt, table.md and plots go there (work_dirs/benchmark; with --plot-only '
        "FILE the file's folder)",
    )
    group.add_argument(
        '--plot-only',
        nargs='+',
        type=Path,
        metavar='FILE',
        help='tables and plots of one results.json, or of several from the same machine together',
    )


def read_options(args: argparse.Namespace) -> Options:
    """Return the options from the arguments.

    Raises:
        ValueError: An argument is invalid; the message names it and the choices.
    """
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device cuda: PyTorch sees no CUDA device')
    grids = [_override(grid, args) for grid in _grids(args, device)]
    for grid in grids:
        check_grid(grid)
        for name in grid.contenders:
            parse_contender(name)
    numbers = {k: getattr(args, k) for k in ('repeats', 'threads', 'seconds', 'warmup')}
    given = {k: v for k, v in numbers.items() if v is not None}
    for name, value in given.items():
        if value < (0 if name in ('seconds', 'warmup') else 1):
            raise ValueError(f'--{name} must be positive, got {value}')
    given.setdefault('warmup', 5 if device.type == 'cuda' else 2)
    return Options(
        grids,
        device,
        official=args.official,
        out=args.out or Options.out,
        **given,
    )


def _grids(args: argparse.Namespace, device: torch.device) -> list[Grid]:
    if args.preset is not None:
        grids = list(PRESETS[args.preset].grids)
    else:
        grids = [Grid()]
    if args.whole_models is not None:
        wanted = args.whole_models or list(WHOLE_MODELS)
        for name in wanted:
            if name not in WHOLE_MODELS:
                raise ValueError(f'--whole-models must be some of {WHOLE_MODELS}, got {name!r}')
        whole = [grid for grid in WHOLE_MODEL_GRIDS if grid.model in wanted]
        grids = grids + whole if args.preset is not None else whole
    has_official = args.official is not None
    return [
        grid
        if grid.contenders
        else replace(grid, contenders=standard_contenders(grid, device.type, has_official))
        for grid in grids
    ]


def _override(grid: Grid, args: argparse.Namespace) -> Grid:
    """Replace the values that the user has set."""
    changes: dict = {}
    if args.archs is not None:
        changes['archs'] = tuple(ARCH_ZOO) if args.archs == ['all'] else tuple(args.archs)
    if args.sizes is not None:
        changes['sizes'] = tuple(parse_size(text) for text in args.sizes)
    for name in ('dtypes', 'modes', 'contenders'):
        if getattr(args, name) is not None:
            changes[name] = tuple(getattr(args, name))
    return replace(grid, **changes)
