"""Segment 2,000 images of mixed sizes in one process: is memory flat, does torch.compile translate again?

    python -m tests.campaign.load            # about 3 minutes on one core
    python -m tests.campaign.load --compile  # the backbone with torch.compile(dynamic=True); about as long
    python -m tests.campaign.load --pytorch-caches --warm-up 500

A small segmentor with random weights, images of 64 to 160 pixels that are not resized. PyTorch's caches of
compiled kernels are bounded as in tools/infer.py, or left as they are. The exit status is 1 when memory
grows by more than ``LIMIT`` after the warm-up, or anything is translated.
"""

import argparse
import ctypes
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from mmcoat import ARCH_ZOO, runs
from mmcoat.apis import Inferencer
from mmcoat.apis import models as apis_models
from tests.helpers import load

EVERY = 100  # images from one look at memory to the next
SMALLEST, LARGEST = 64, 160  # pixels
# The first images when compiled. PyTorch gives a convolution with a small window and one image to oneDNN when
# it reads more than 20480 numbers, as the patch embeddings of stages 2 to 4 do from 72 x 72, 102 x 102 and
# 144 x 144 on: four graphs in all, for whatever sizes, and one for all images above.
SIDES = (64, 96, 128, 160)
# MiB that memory may grow by after the warm-up, free parts of the heap given back. One map of the first scale
# left behind by each image (64 channels, 28 x 28 tokens) would be 360.
LIMIT = 12.0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--compile', action='store_true', help='with torch.compile(dynamic=True)')
    parser.add_argument('--warm-up', type=int, default=EVERY, help='images')
    parser.add_argument(
        '--pytorch-caches', action='store_true', help="leave PyTorch's caches as large as they are"
    )
    args = parser.parse_args()
    if args.images < args.warm_up:
        parser.error('--images must be at least --warm-up')
    return args


def make_inferencer(folder: Path) -> Inferencer:
    """Return an inferencer of CoaT-Lite Tiny and a narrow head, which takes images as they are."""
    cfg = load('fpn_coat_lite_s_ade20k.py')
    cfg.model.backbone.update(arch='lite_tiny', init_cfg=None)
    cfg.model.neck.update(in_channels=list(ARCH_ZOO['lite_tiny']['embed_dims']), out_channels=32)
    cfg.model.decode_head.update(in_channels=[32] * 4, channels=32, num_classes=8)
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [s for s in pipeline if s['type'] != 'Resize']
    torch.manual_seed(0)
    model, _ = apis_models.build(cfg, None)
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'weights.pth')
    return Inferencer(cfg, folder / 'weights.pth', device='cpu', precision='fp32')


def images(count: int, sides: tuple[int, ...] = ()) -> Iterator[np.ndarray]:
    """Yield so many images, the first ones square and of these sides."""
    generator = np.random.default_rng(0)
    for number in range(count):
        height, width = generator.integers(SMALLEST, LARGEST, 2, endpoint=True)
        if number < len(sides):
            height = width = sides[number]
        yield generator.integers(0, 255, (height, width, 3), dtype=np.uint8)


def resident() -> float:
    """Return the memory of this process that is resident, in MiB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024
    raise OSError('this system does not say how much memory a process has')


def give_back() -> None:
    """Make the C library return its free memory, so that the resident memory is memory in use."""
    ctypes.CDLL(None).malloc_trim(0)  # glibc


def translations() -> int:
    """Return how many graphs torch.compile has made in this process."""
    if 'torch._dynamo' not in sys.modules:  # importing it takes 96 MiB
        return 0
    return torch._dynamo.utils.counters['stats']['unique_graphs']


def measure(args: argparse.Namespace, inferencer: Inferencer, tell: Callable[[str], None]) -> int:
    """Run the images, print the measurements, and return the exit status."""
    sizes, peak, held, made = set(), 0.0, [], []
    for number, image in enumerate(images(args.images, SIDES if args.compile else ()), 1):
        [result] = inferencer(image)
        assert result.label_map.shape == image.shape[:2]
        sizes.add(image.shape)
        peak = max(peak, resident())
        if number % EVERY == 0:
            give_back()
            now, graphs = resident(), translations()
            tell(f'{number}: {now:.1f} MiB, at most {peak:.1f}; {graphs} graphs')
            if number >= args.warm_up:
                held.append(now)
                made.append(graphs)
    growth, late = max(held) - held[0], made[-1] - made[0]
    slope = 1000 / EVERY * np.polyfit(range(len(held)), held, 1)[0]
    tell(f'{len(sizes)} sizes; after the warm-up {growth:+.1f} MiB, {slope:+.2f} in 1,000 images')
    tell(f'{made[0]} graphs in the warm-up, {late} later')
    missing = args.compile and not made[-1]
    return 1 if growth > LIMIT or late or missing else 0


def main(tell: Callable[[str], None]) -> int:
    args = parse_args()
    if not args.pytorch_caches:
        runs.bound_kernel_caches()
    with tempfile.TemporaryDirectory() as folder:
        inferencer = make_inferencer(Path(folder))
    if args.compile:
        inferencer.model.backbone.compile(dynamic=True)
    return measure(args, inferencer, tell)


if __name__ == '__main__':
    sys.exit(main(lambda line: print(line, flush=True)))
