"""Segment 2,000 images of mixed sizes in one process: is memory flat, does torch.compile translate again?

    python -m tests.campaign.load            # about 3 minutes on one core
    python -m tests.campaign.load --compile  # the backbone with torch.compile(dynamic=True); about as long

A small segmentor with random weights, images of 64 to 160 pixels that are not resized. The first hundred
images are the warm-up. The exit status is 1 when memory grows by more than ``LIMIT`` after them, or
anything is translated.
"""

import argparse
import ctypes
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from mmcoat import ARCH_ZOO
from mmcoat.apis import Inferencer
from mmcoat.apis import models as apis_models
from tests.helpers import load

WARM_UP = 100
SMALLEST, LARGEST = 64, 160  # pixels
# MiB that memory may grow by after the warm-up, free parts of the heap given back. One map of the first scale
# left behind by each image (64 channels, 28 x 28 tokens) would be 360.
LIMIT = 12.0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--compile', action='store_true', help='with torch.compile(dynamic=True)')
    return parser.parse_args()


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


def images(count: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    for _ in range(count):
        height, width = generator.integers(SMALLEST, LARGEST, 2, endpoint=True)
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
    return torch._dynamo.utils.counters['stats']['unique_graphs']


def measure(args: argparse.Namespace, inferencer: Inferencer, tell: Callable[[str], None]) -> int:
    """Run the images, print the measurements, and return the exit status."""
    sizes, peak, held, made = set(), 0.0, [], []
    for number, image in enumerate(images(args.images), 1):
        [result] = inferencer(image)
        assert result.label_map.shape == image.shape[:2]
        sizes.add(image.shape)
        peak = max(peak, resident())
        if number % WARM_UP == 0:
            give_back()
            held.append(resident())
            made.append(translations())
            tell(f'{number} images: {held[-1]:.1f} MiB, at most {peak:.1f}; {made[-1]} graphs')
    growth, late = max(held) - held[0], made[-1] - made[0]
    slope = 1000 / WARM_UP * np.polyfit(range(len(held)), held, 1)[0]
    tell(f'{len(sizes)} sizes; after the warm-up {growth:+.1f} MiB, {slope:+.2f} in 1,000 images')
    tell(f'{made[0]} graphs in the warm-up, {late} later')
    missing = args.compile and not made[-1]
    return 1 if growth > LIMIT or late or missing else 0


def main(tell: Callable[[str], None]) -> int:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inferencer = make_inferencer(Path(folder))
    if args.compile:
        inferencer.model.backbone.compile(dynamic=True)
    return measure(args, inferencer, tell)


if __name__ == '__main__':
    sys.exit(main(lambda line: print(line, flush=True)))
