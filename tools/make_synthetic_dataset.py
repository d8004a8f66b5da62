"""Draw a synthetic data set in the layout of ADE20K, COCO, Cityscapes, Pascal VOC...

The pictures are scenes of streets, shores and hills, or of objects on a faint background. They are enough to
try training and testing end to end without the real data set. Scores on them say nothing about the real one.
"""

import argparse
import functools
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmcoat import cli
from mmcoat.datasets import synthetic
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/make_synthetic_dataset.py ade20k data/ade_synthetic --preview
  python tools/make_synthetic_dataset.py cityscapes data/cityscapes_synthetic --size 256 128
  python tools/make_synthetic_dataset.py coco data/coco_synthetic --train 400 --val 60 --seed 1
"""
MAKERS = {'ade20k': synthetic.make_ade20k, 'coco': synthetic.make_coco} | {
    name: functools.partial(synthetic.make_layout, layout=name) for name in synthetic.LAYOUTS
}
PREVIEWS = {'ade20k': synthetic.preview_ade20k, 'coco': synthetic.preview_coco}
DEFAULT_SIZES = {name: (256, 192) if name == 'coco' else (160, 128) for name in MAKERS}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('layout', choices=sorted(MAKERS), help='layout to write')
    parser.add_argument('out', type=Path, help='folder to write; must be new or empty')
    parser.add_argument('--train', type=int, default=200, help='training images (default: 200)')
    parser.add_argument('--val', type=int, default=40, help='validation images (default: 40)')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        help='width and height in pixels (default: 256 192 for coco, 160 128 for others)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='the same seed draws the same pictures (default: 0)'
    )
    parser.add_argument(
        '--preview',
        action='store_true',
        help='write OUT/preview.png, pictures beside their labels (ade20k and coco)',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace an earlier drawn set of this layout in OUT; other files are never deleted',
    )
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    if args.preview and args.layout not in PREVIEWS:
        raise UsageError(
            f'--preview knows {sorted(PREVIEWS)} only, got {args.layout}; tools/browse_dataset.py CONFIG '
            'draws any data set'
        )
    console = Console(stderr=True)
    columns = (TextColumn('drawing'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        with bar:
            task = bar.add_task('drawing', total=None)
            MAKERS[args.layout](
                args.out,
                train=args.train,
                val=args.val,
                size=tuple(args.size or DEFAULT_SIZES[args.layout]),
                seed=args.seed,
                overwrite=args.overwrite,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if args.preview:
            PREVIEWS[args.layout](args.out, args.out / 'preview.png')
    except OSError as error:
        raise UsageError(f'{args.out} cannot be written: {error}') from None
    print(f'{args.layout}: {args.train} training and {args.val} validation images in {args.out}')


if __name__ == '__main__':
    sys.exit(main())
