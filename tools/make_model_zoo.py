"""Write docs/model_zoo.md from model-index.yml; with --check only say whether it is up to date."""

import argparse
import sys
from pathlib import Path

from mmcoat.analysis.model_zoo import make_page

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--check', action='store_true', help='change nothing, fail when it is out of date'
    )
    args = parser.parse_args()
    path, page = ROOT / 'docs' / 'model_zoo.md', make_page(ROOT)
    if not args.check:
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding='utf-8')
        print(f'{path} is written')
        return 0
    if path.is_file() and path.read_text(encoding='utf-8') == page:
        print(f'{path} is up to date')
        return 0
    print(f'{path} is out of date: run python tools/make_model_zoo.py', file=sys.stderr)
    return 1


if __name__ == '__main__':
    sys.exit(main())
