"""Segment, detect or classify images: overlays with a legend, label maps, COCO results, arrays.

INPUT is an image, a folder, or a pattern in quotes, as many as you like. A file that cannot be read is named,
the rest goes on, and the exit status is 1.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmcoat import cli
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/infer.py upernet_coat_lite_s_ade20k work_dirs/run/iter_160000.pth photos/ --save overlay,png
  python tools/infer.py mask_rcnn_coat_small_3x_coco auto photo.jpg --score-thr 0.5
  python tools/infer.py configs/mine.py mine.pth orthophoto.tif --tiles 512
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', help="config file, name of one of mmcoat's configs, or of a published file"
    )
    parser.add_argument('checkpoint', help="file or URL; 'auto' with the name of a published file")
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='image, folder or pattern')
    parser.add_argument('--out-dir', default='results', help='where results go (results)')
    parser.add_argument(
        '--save',
        default='overlay',
        help='comma-separated: overlay, png (label maps), coco (one file), npz (overlay)',
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    parser.add_argument('--precision', default='auto', help='auto, fp32, bf16 or fp16 (auto)')
    parser.add_argument('--batch-size', type=int, default=1, help='images at a time (1)')
    parser.add_argument(
        '--tiles', type=int, metavar='SIDE', help='segment in blended tiles of SIDE pixels'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation of the config')
    parser.add_argument('--compile', action='store_true', help='translate the backbone first')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score of a box (0.3)')
    parser.add_argument('--opacity', type=float, default=0.5, help='of colours, 0 to 1 (0.5)')
    return parser.parse_args()


def check_names(images: Sequence) -> None:
    """Refuse images of one name: the second result would overwrite the first."""
    seen: dict[str, Path] = {}
    for image in images:
        if image.stem in seen:
            raise UsageError(
                f'{seen[image.stem]} and {image} would write the same files: run them into two --out-dir'
            )
        seen[image.stem] = image


@cli.command
def main() -> int:
    args = parse_args()
    from mmcoat.apis import Inferencer
    from mmcoat.apis.inputs import find_images
    from mmcoat.apis.results import KINDS

    kinds = tuple(args.save.split(','))
    if not set(kinds) <= set(KINDS):
        raise UsageError(f'--save takes {", ".join(KINDS)}, got {args.save}')
    if not 0.0 <= args.opacity <= 1.0:
        raise UsageError(f'--opacity must be from 0 to 1, got {args.opacity}')
    images = find_images(args.inputs)
    check_names(images)
    inferencer = Inferencer(
        args.config,
        None if args.checkpoint == 'auto' else args.checkpoint,
        device=args.device,
        precision=args.precision,
        score_thr=args.score_thr,
        tta=args.tta,
        compile=args.compile,
    )
    broken: list[str] = []
    entries: list[dict] = []
    ids = {path.stem: number for number, path in enumerate(images, 1)}
    columns = (TextColumn('images'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task('images', total=len(images))

        def note(error: UsageError) -> None:
            broken.append(str(error))
            bar.update(task, advance=1)

        for result in inferencer.iterate(images, args.batch_size, args.tiles, on_error=note):
            result.save(args.out_dir, kinds, args.opacity)
            if 'coco' in kinds:
                entries += result.to_coco(ids[result.name])
            bar.update(task, advance=1)
    if 'coco' in kinds:
        names = [dict(id=ids[path.stem], file_name=path.name) for path in images]
        Path(args.out_dir).mkdir(parents=True, exist_ok=True)
        for name, content in (('results', entries), ('images', names)):
            Path(args.out_dir, f'{name}.json').write_text(json.dumps(content))
    for message in broken:
        print(f'infer.py: skipped: {message}', file=sys.stderr)
    print(f'{len(images) - len(broken)} of {len(images)} images: results in {args.out_dir}')
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
