"""Write a model as a program that runs without mmcoat: ONNX, torch.export's .pt2, or OpenVINO.

It exports whole segmentors and classifiers, or the backbone (with the neck) of any model. Axes that are not
listed in --dynamic have the fixed sizes of --shape. With --verify the program is compared with PyTorch at
three other sizes; if it differs, the file is kept and the exit status is 2. See docs/export.md.
"""

import argparse
import sys
from pathlib import Path

from mmcoat import cli
from mmcoat.errors import UsageError

EXAMPLES = """examples:
  python tools/export.py upernet_coat_lite_s_ade20k iter_160000.pth --dynamic batch,height,width --verify
  python tools/export.py configs/mine.py mine.pth --format openvino --precision fp16 --preprocess
  python tools/export.py mask_rcnn_coat_small_3x_coco auto --part neck --shape 800 1344
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help="config file, name of one of mmcoat's configs, or of a published file")
    add('checkpoint', help="file or URL; 'auto' with the name of a published file")
    add('--out', metavar='FILE', help='where it goes (exports/CONFIG_PART_PRECISION.*)')
    add('--format', default='onnx', help='onnx, torch-export or openvino (onnx)')
    add('--part', default='model', help='model, neck (with the backbone) or backbone (model)')
    add('--dynamic', default='', metavar='AXES', help='of any size: batch,height,width (none)')
    add('--shape', type=int, nargs=2, metavar=('H', 'W'), help='of the axes that are fixed')
    add('--precision', default='fp32', help='fp32, fp16 or int8 (fp32)')
    add('--calibration', metavar='DIR', help='images that the ranges of int8 are measured on')
    add('--output', default='logits', help='of a whole model: logits or labels (logits)')
    add('--preprocess', action='store_true', help='take RGB, uint8; normalise inside')
    add('--verify', action='store_true', help='compare with PyTorch afterwards')
    return parser.parse_args()


@cli.command
def main() -> int:
    args = parse_args()
    from mmcoat import export

    options = export.ExportOptions(
        format=args.format,
        part=args.part,
        dynamic=tuple(filter(None, args.dynamic.split(','))),
        precision=args.precision,
        output=args.output,
        preprocess=args.preprocess,
        shape=tuple(args.shape) if args.shape else None,
        calibration=args.calibration,
        verify=args.verify,
    )
    name = f'{Path(args.config).stem}_{args.part}_{args.precision}{export.ENDINGS[args.format]}'
    path = Path(args.out or Path('exports', name))
    checkpoint = None if args.checkpoint == 'auto' else args.checkpoint
    if checkpoint is None and Path(args.config).suffix == '.py':
        raise UsageError("'auto' needs the name of a published file; a config needs a checkpoint")
    found = export.export_model(args.config, checkpoint, path, options)
    print(f'{path}: {path.stat().st_size / 2**20:.1f} MiB')
    for comparison in found:
        print(f'  as PyTorch at {comparison}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
