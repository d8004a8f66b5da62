"""Write docs/model_zoo.md from model-index.yml and configs/model_costs.json, and count new models.

With --check, change nothing and report whether both files are up to date. Counting needs all three toolboxes.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from benchmarks.peers import declare_torchvision_operators
from mmcoat import cli
from mmcoat.analysis import model_zoo, zoo_costs

ROOT = Path(__file__).resolve().parent.parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--check', action='store_true', help='change nothing, fail if something is out of date'
    )
    parser.add_argument(
        '--recount',
        action='store_true',
        help='count all models again, because their code has changed',
    )
    return parser.parse_args()


def check(path: Path) -> int:
    """Report what is out of date; return the exit status."""
    stale = zoo_costs.outdated(ROOT)
    if stale:
        what = f'{zoo_costs.FILE} is out of date for {", ".join(stale)}'
    elif not path.is_file() or path.read_text(encoding='utf-8') != model_zoo.make_page(ROOT):
        what = f'{path} is out of date'
    else:
        print(f'{path} is up to date')
        return 0
    print(f'{what}: run python tools/make_model_zoo.py', file=sys.stderr)
    return 1


@cli.command
def main() -> int:
    args = parse_args()
    path = ROOT / 'docs' / 'model_zoo.md'
    if args.check:
        return check(path)
    if importlib.util.find_spec('torchvision'):  # MMPretrain needs it; its operators may not work
        declare_torchvision_operators()
    zoo_costs.update(ROOT, args.recount, lambda name: print(f'counting {name}', flush=True))
    path.parent.mkdir(exist_ok=True)
    path.write_text(model_zoo.make_page(ROOT), encoding='utf-8')
    print(f'{path} is written')
    return 0


if __name__ == '__main__':
    sys.exit(main())
