"""Count what a segmentor takes for what, over all pixels of a data set: tables, a picture, the matrix.

The IoU of each class is that of MMSegmentation's evaluation. With --predictions no model is run: the folder
holds the label maps that tools/test.py --out FOLDER wrote.
"""

import argparse
import sys

from rich.console import Console

from mmcoat import cli, runs
from mmcoat.analysis import confusion, predictions
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/confusion_matrix.py configs/mine.py work_dirs/mine/iter_10000.pth --out confusion.png
  python tools/confusion_matrix.py configs/mine.py --predictions label_maps --split val --json matrix.json
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_config_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file or URL')
    parser.add_argument('--predictions', metavar='FOLDER', help='label maps, in its place')
    parser.add_argument('--split', choices=predictions.SPLITS, default='test', help='(test)')
    parser.add_argument('--out', metavar='PICTURE', help='.png, .jpg, .svg or .pdf')
    parser.add_argument('--json', metavar='FILE', help='counts and scores; .json, or .npz')
    parser.add_argument(
        '--normalize', choices=confusion.NORMALIZE, default='truth', help='of the picture (truth)'
    )
    parser.add_argument('--top', type=int, default=10, help='confused pairs that are shown (10)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Say what is wrong before the data set is walked through."""
    from mmcoat.analysis import curves

    if (args.checkpoint is None) == (args.predictions is None):
        raise UsageError('name a checkpoint, or --predictions FOLDER (of tools/test.py --out)')
    if args.top < 0:
        raise UsageError(f'--top must be 0 or more, got {args.top}')
    if args.out:
        curves.check_ending(args.out)
    if args.json:
        confusion.check_target(args.json)


@cli.command
def main() -> None:
    args = parse_args()
    check(args)
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    predictions.check_task(cfg, ('segmentation',))
    if args.predictions:
        found = predictions.SavedPredictions(cfg, args.predictions, args.split)
    else:
        found = predictions.Predictions(cfg, args.checkpoint, args.split, args.device)
    with cli.progress() as bar:
        task = bar.add_task('images', total=len(found))
        counts = confusion.measure(found, lambda done: bar.update(task, completed=done))
    from mmcoat.analysis import confusion_views, curves

    Console().print(confusion_views.tables(counts, args.top), highlight=False)
    if args.json:
        confusion.write(counts, args.json)
    if args.out:
        curves.save(confusion_views.draw(counts, args.normalize), args.out)


if __name__ == '__main__':
    sys.exit(main())
