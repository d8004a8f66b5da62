"""Cases and grids: a case is an arch at one size, batch, precision and mode; a grid is a product of cases.

An invalid value raises a UsageError that names it and the choices.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from mmcoat.arch import ARCH_ZOO
from mmcoat.errors import UsageError

DTYPES = {'fp32': None, 'bf16': torch.bfloat16}  # bf16 is autocast; weights stay float32
MODES = ('inference', 'train')  # train is forward and backward, without optimizer
CHOICES = dict(arch=tuple(ARCH_ZOO), dtype=tuple(DTYPES), mode=MODES)
BACKBONE = 'backbone'
WHOLE_MODELS = ('upernet', 'mask_rcnn')
SMALLEST = 32
SEED = 2104  # of weights, images and annotations, the same for all contenders


class UnavailableError(Exception):
    """A contender cannot run here; the message says why and what to do."""

    status = 'unavailable'


@dataclass(frozen=True)
class Case:
    """One set-up, the same for every contender."""

    arch: str
    size: tuple[int, int]  # height and width of the images
    batch: int
    dtype: str
    mode: str
    model: str = BACKBONE  # or the whole model around it

    def __post_init__(self) -> None:
        for what, choices in CHOICES.items():
            if getattr(self, what) not in choices:
                raise UsageError(f'{what} must be one of {choices}, got {getattr(self, what)!r}')
        if min(self.size) < SMALLEST:
            raise UsageError(f'sizes must be at least {SMALLEST} pixels, got {min(self.size)}')

    def __str__(self) -> str:
        model = '' if self.model == BACKBONE else f'{self.model} '
        size = size_text(self.size)
        return f'{model}{self.arch} {size} batch {self.batch} {self.dtype} {self.mode}'


@dataclass(frozen=True)
class Grid:
    """A product of cases, and the names of their contenders; without any the standard ones take part."""

    archs: tuple[str, ...] = ('lite_small',)
    sizes: tuple[str, ...] = ('512',)  # with their batches, see parse_size
    dtypes: tuple[str, ...] = ('fp32',)
    modes: tuple[str, ...] = ('inference',)
    contenders: tuple[str, ...] = ()
    model: str = BACKBONE
    cuda_graph: bool = False  # replay inference of single images as CUDA graphs too

    def cases(self) -> Iterator[Case]:
        """Yield the cases; cases with the same reference output are neighbours."""
        sizes = [(size, n) for size, batches in map(parse_size, self.sizes) for n in batches]
        for arch, size, mode, dtype in itertools.product(
            self.archs, sizes, self.modes, self.dtypes
        ):
            yield Case(arch, *size, dtype, mode, self.model)


def size_text(size: Sequence[int]) -> str:
    """(800, 1344) -> '800x1344', (512, 512) -> '512'."""
    return str(size[0]) if size[0] == size[1] else f'{size[0]}x{size[1]}'


def parse_size(text: str) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return size and batches: '512' -> (512, 512), (1,); '800x1344@1,64' -> (800, 1344), (1, 64)."""
    n = r'[1-9]\d*'
    match = re.fullmatch(rf'({n})(?:x({n}))?(?:@({n}(?:,{n})*))?', text)
    if match is None:
        raise UsageError(
            f'a size is S, HxW, or S@BATCH,BATCH: 512, 800x1344, 224@1,64; got {text!r}'
        )
    height, width, batches = match.groups()
    return (int(height), int(width or height)), tuple(map(int, (batches or '1').split(',')))
