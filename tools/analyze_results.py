"""Find the best and the worst images of a labelled data set: image, label, prediction and errors of each.

Segmentors are ranked by the mean IoU over the classes in an image, by accuracy or by loss; detectors by F1
(boxes of at least --score-thr that meet an object of their class with an IoU of 0.5). Into --out-dir go
scores.csv, scores.json, best.jpg, worst.jpg, and a larger picture of each of these images.
"""

import argparse
import sys

from mmcoat import cli, runs
from mmcoat.analysis import predictions, ranking
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/analyze_results.py configs/mine.py work_dirs/mine/iter_10000.pth --out-dir results
  python tools/analyze_results.py configs/mine.py mine.pth --out-dir losses --number 20 --sort loss
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('--out-dir', required=True, help='where results go; new or empty')
    parser.add_argument('--number', type=int, default=10, help='images at each end (10)')
    parser.add_argument(
        '--sort',
        choices=sorted({name for sorts in ranking.SORTS.values() for name in sorts}),
        help='what decides (iou; detectors: f1)',
    )
    parser.add_argument('--split', choices=predictions.SPLITS, default='test', help='(test)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score of a box (0.3)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    if args.number < 1:
        raise UsageError(f'--number must be 1 or more, got {args.number}')
    if not 0.0 <= args.score_thr <= 1.0:
        raise UsageError(f'--score-thr must be from 0 to 1, got {args.score_thr}')
    folder = ranking.check_folder(args.out_dir)
    cfg = runs.load_config(args.config, args.cfg_options, args.allow_new_keys)
    found = predictions.Predictions(cfg, args.checkpoint, args.split, args.device)
    with cli.progress() as bar:
        task = bar.add_task('images', total=len(found))
        ranked = ranking.rank(
            found,
            args.number,
            args.sort,
            args.score_thr,
            lambda done: bar.update(task, completed=done),
        )
    ranking.write(ranked, folder)
    for kind in ranking.KINDS:
        for place, one in enumerate(ranked.end(kind), 1):
            print(f'{kind} {ranking.caption(one.row, ranked.key, place)}')
    if ranked.unranked:
        print(f'{ranked.unranked} images have nothing to be judged by', file=sys.stderr)
    print(f'scores of {len(ranked.rows)} images and the pictures: {folder}')


if __name__ == '__main__':
    sys.exit(main())
