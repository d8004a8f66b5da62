#!/usr/bin/env python
"""Strip a training checkpoint to its weights, and add the beginning of its SHA-256 to the name."""

import argparse
from pathlib import Path

from mmcoat.checkpoints.publish import publish
from mmcoat.cli import command


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='checkpoint of a training')
    parser.add_argument('dst', type=Path, help='file to write; the hash is added to its name')
    parser.add_argument('--force', action='store_true', help='overwrite a file of that name')
    args = parser.parse_args()
    path, dropped = publish(args.src, args.dst, args.force)
    print(f'left out: {", ".join(dropped) or "nothing"}')
    print(f'wrote {path}')


if __name__ == '__main__':
    raise SystemExit(main())
