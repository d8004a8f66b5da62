#!/usr/bin/env python
"""Convert a checkpoint: official, timm, MMDetection 2.x -> mmcoat, and mmcoat -> official or timm."""

import argparse
from pathlib import Path

from mmcoat.checkpoints.convert import TARGETS, convert_file
from mmcoat.cli import command


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='file, URL or mmcoat://NAME')
    parser.add_argument('dst', type=Path, help='.pth or .safetensors file to write')
    parser.add_argument('--to', choices=TARGETS, default='own', help='form to write (own)')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    parser.add_argument('--verbose', action='store_true', help='print every name')
    args = parser.parse_args()
    result = convert_file(args.src, args.dst, args.to, args.force)
    print('\n'.join(result.report(None if args.verbose else 3)))
    print(f'{len(result.weights)} tensors in {args.dst}')


if __name__ == '__main__':
    raise SystemExit(main())
