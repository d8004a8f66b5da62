"""Convert your images and labels to a data set that the configs read, and write a config for it.

All files are checked. If a file is broken, has no partner or holds labels that are not a class, an error is
printed in one line and nothing is written.
"""

import argparse
import sys

from mmcoat import cli, runs
from mmcoat.datasets import prepare
from mmcoat.datasets.prepare.arguments import add_sources, mask_code
from mmcoat.datasets.prepare.writing import check_config_place

EXAMPLES = """examples:
  python tools/prepare_dataset.py pairs --images photos --masks masks --classes background,road,field \\
      --out data/mine --config mine.py --model fpn_coat_lite_s
  python tools/prepare_dataset.py voc --root VOCdevkit/VOC2012 --out data/voc --config voc.py
  python tools/prepare_dataset.py labelme --folder labelled --out data/mine --config mine.py
  python tools/prepare_dataset.py coco --json all.json --images photos --task detection \\
      --out data/mine --config mine.py --model mask_rcnn_coat_lite_s
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_sources(parser)
    return parser.parse_args()


@cli.command
def main() -> None:
    args = parse_args()
    detection = getattr(args, 'task', None) == 'detection'
    base = runs.find_model(args.model, detection)
    check_config_place(args.config, args.overwrite)
    with cli.progress(transient=True) as bar:
        task = bar.add_task('reading', total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        summary = prepare_data(args, progress, detection)
    prepare.write_config(args.config, base, args.out, summary, not detection, args.balance)
    counts = summary.counts
    print(f'{counts["train"]} training and {counts["val"]} validation images in {args.out}')
    for note in summary.notes:
        print(f'note: {note}')
    print(f'wrote {args.config}; train with: python tools/train.py {args.config}')


def prepare_data(
    args: argparse.Namespace, progress: prepare.Progress, detection: bool
) -> prepare.Summary:
    names = ('out', 'val', 'seed', 'channels', 'link', 'overwrite')
    request = prepare.Request(**{n: getattr(args, n) for n in names}, progress=progress)
    if detection:
        return prepare.write_detection(args.json, args.images, args.classes, request)
    palette = None
    if args.source == 'labelme':
        samples, classes = prepare.labelme(args.folder, args.classes)
    elif args.source == 'coco':
        samples, classes = prepare.coco_masks(args.json, args.images, args.classes)
    else:
        code = mask_code(args)
        if args.source == 'voc':
            samples = prepare.voc(args.root, code, progress)
        else:
            suffixes = (args.image_suffix, args.mask_suffix)
            samples = prepare.pairs(args.images, args.masks, code, progress, *suffixes)
        classes, palette = code.classes, code.colors or code.palette
    return prepare.write_segmentation(samples, classes, request, palette)


if __name__ == '__main__':
    sys.exit(main())
