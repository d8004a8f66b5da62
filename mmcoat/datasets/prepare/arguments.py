"""The command line of tools/prepare_dataset.py."""

import argparse
import re
from pathlib import Path

from .masks import MaskCode
from .voc import VOC_CLASSES

HEX = re.compile(r'#?[0-9a-fA-F]{6}')


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each layout."""
    sources = parser.add_subparsers(dest='source', required=True, metavar='LAYOUT')
    pairs = sources.add_parser('pairs', help='images and masks in two folders')
    pairs.add_argument('--images', type=Path, required=True, help='folder of images')
    pairs.add_argument(
        '--masks', type=Path, required=True, help='folder of masks of the same names'
    )
    pairs.add_argument('--image-suffix', help='how images end, for example _rgb.png (any picture)')
    pairs.add_argument('--mask-suffix', help='how masks end, for example _mask.png (any picture)')
    _add_classes(pairs, required=True)
    _add_mask_arguments(pairs)
    voc = sources.add_parser('voc', help="Pascal VOC's folders for segmentation")
    voc.add_argument('--root', type=Path, required=True, help='for example VOCdevkit/VOC2012')
    _add_classes(voc, required=False)
    _add_mask_arguments(voc)
    labelme = sources.add_parser('labelme', help="labelme's JSON files beside their images")
    labelme.add_argument('--folder', type=Path, required=True, help='folder of the JSON files')
    _add_classes(labelme, required=False)
    coco = sources.add_parser('coco', help="one file of COCO's instance annotations")
    coco.add_argument('--json', type=Path, required=True, help='the annotations')
    coco.add_argument('--images', type=Path, required=True, help='folder of the images')
    coco.add_argument('--task', choices=['masks', 'detection'], default='masks', help='(masks)')
    _add_classes(coco, required=False)
    for source in (pairs, voc, labelme, coco):
        _add_output(source)


def _add_classes(parser: argparse.ArgumentParser, required: bool) -> None:
    which = 'in the order of their labels' if required else '(those of the source)'
    parser.add_argument(
        '--classes', type=_names, required=required, help=f'names with commas, {which}'
    )


def _add_mask_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        '--colors',
        type=_colors,
        metavar='RRGGBB,...',
        help='for masks that are coloured pictures: the color of each class',
    )
    add(
        '--ignore', type=_values, default=(), help='values or colors that mean no class; 255 always'
    )
    add('--zero-unlabelled', action='store_true', help='0 means no class, 1 the first class')


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--out', type=Path, required=True, help='folder to write, new or written by this tool')
    add('--config', type=Path, required=True, help='config to write')
    add('--model', help='fpn_coat_lite_s, upernet_coat_s, mask_rcnn_coat_lite_s...')
    add(
        '--val',
        type=float,
        default=0.2,
        help='share for validation, unless the source says it (0.2)',
    )
    add('--seed', type=int, default=0, help='of the split (0)')
    add('--channels', type=int, help='of the images (3; all that .npy and TIFF hold)')
    add('--balance', action='store_true', help='weight classes by the root of their rarity')
    add('--link', action='store_true', help='link to the images instead of copying them')
    add('--overwrite', action='store_true', help='replace what this tool wrote there before')


def mask_code(args: argparse.Namespace) -> MaskCode:
    """Return how masks are coded, according to the arguments."""
    classes = args.classes or VOC_CLASSES
    return MaskCode(classes, args.colors, args.ignore, args.zero_unlabelled)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(','))


def _colors(text: str) -> list[list[int]]:
    parts = text.split(',')
    wrong = [part for part in parts if not HEX.fullmatch(part.strip())]
    if wrong:
        raise argparse.ArgumentTypeError(f'takes RRGGBB in hexadecimal digits, got {wrong[0]!r}')
    return [list(bytes.fromhex(part.strip().lstrip('#'))) for part in parts]


def _values(text: str) -> tuple[int | list[int], ...]:
    values: list[int | list[int]] = []
    for part in text.split(','):
        part = part.strip()
        if HEX.fullmatch(part) and len(part.lstrip('#')) == 6:
            values += _colors(part)
        elif part.isdigit() and int(part) < 256:
            values.append(int(part))
        else:
            raise argparse.ArgumentTypeError(
                f'takes values up to 255 or colors RRGGBB, got {part!r}'
            )
    return tuple(values)
