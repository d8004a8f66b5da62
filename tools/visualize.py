"""Show what a model sees: attention of a pixel and of the class token, Grad-CAM, feature maps, exchange.

It draws one figure per kind, with the image and a legend; --arrays also writes the numbers as .npz. Stages
count from 0; serial blocks are 0, 1..., parallel ones p0, p1... The defaults are the last stage and block,
the middle of the image, and the predicted class.
"""

import argparse
import sys

from mmcoat import cli
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/visualize.py upernet_coat_lite_s_ade20k work_dirs/run/iter_160000.pth photo.jpg --pixel 320,200
  python tools/visualize.py configs/mine.py mine.pth photo.jpg --what gradcam --class sky --stage 2
  python tools/visualize.py coat_s_in1k coat_small.pth photo.jpg --what exchange,features --arrays
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', help="config file, name of one of mmcoat's configs, or of a published file"
    )
    parser.add_argument('checkpoint', help="file or URL; 'auto' with the name of a published file")
    parser.add_argument('image', help='one image')
    parser.add_argument(
        '--what',
        default='attention',
        help='comma-separated: attention, class-token, gradcam, features, exchange (attention)',
    )
    parser.add_argument('--stage', type=int, help='stage, from 0')
    parser.add_argument('--block', help='block: 0, 1... (serial), p0, p1... (parallel)')
    parser.add_argument('--pixel', metavar='X,Y', help='pixel of the image, from 0,0')
    parser.add_argument('--class', dest='class_name', metavar='NAME', help='class of Grad-CAM')
    parser.add_argument('--out-dir', default='visualized', help='where figures go (visualized)')
    parser.add_argument('--arrays', action='store_true', help='also write the numbers, as .npz')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    return parser.parse_args()


def parse_pixel(text: str | None) -> tuple[int, int] | None:
    """Return x and y of ``X,Y``."""
    if text is None:
        return None
    parts = text.split(',')
    if len(parts) != 2 or not all(part.strip().lstrip('-').isdecimal() for part in parts):
        raise UsageError(f'--pixel takes X,Y in whole pixels, for example 320,200, got {text}')
    return int(parts[0]), int(parts[1])


@cli.command
def main() -> None:
    args = parse_args()
    pixel, kinds = parse_pixel(args.pixel), args.what.split(',')
    from mmcoat.apis import models
    from mmcoat.apis.inputs import find_images, name_of
    from mmcoat.apis.reading import ImageReader
    from mmcoat.visualization.look import Wish, check_kinds, look
    from mmcoat.visualization.subject import prepare

    check_kinds(kinds)
    sources = find_images(args.image)
    if len(sources) != 1:
        raise UsageError(f'give one image; {args.image} has {len(sources)}')
    cfg, checkpoint = models.find(
        args.config, None if args.checkpoint == 'auto' else args.checkpoint
    )
    if checkpoint is None:
        raise UsageError(f'{args.config} needs a checkpoint: only published names have their own')
    model, meta = models.build(cfg, checkpoint)
    model.to(models.choose_device(args.device))
    read = ImageReader(cfg)
    image = read.for_pipeline(read(sources[0]))
    view = prepare(model, models.pipeline(cfg), image)
    wish = Wish(args.stage, args.block, pixel, args.class_name, tuple(meta.get('classes') or ()))
    for kind in kinds:
        seen = look(model, view, kind, wish)
        for path in seen.save(args.out_dir, name_of(sources[0], 0), args.arrays):
            print(path)


if __name__ == '__main__':
    sys.exit(main())
