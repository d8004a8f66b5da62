"""Cases and grids: a case is an arch at one size, batch, precision and mode; a grid is a product of cases."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from mmcoat.arch import ARCH_ZOO

DTYPES = {'fp32': None, 'bf16': torch.bfloat16}  # bf16 is autocast; weights stay float32
MODES = ('inference', 'train')
BACKBONE = 'backbone'
WHOLE_MODELS = ('upernet', 'mask_rcnn')


@dataclass(frozen=True)
class Case:
    """One set-up, the same for every contender.

    Attributes:
        arch: Name of the arch zoo.
        size: Height and width of the images.
        batch: Images in a batch.
        dtype: ``'fp32'``, or ``'bf16'`` for autocast.
        mode: ``'inference'``, or ``'train'``: forward and backward, without optimizer.
        model: ``'backbone'``, or a whole model around it, one of :data:`WHOLE_MODELS`.
    """

    arch: str
    size: tuple[int, int]
    batch: int
    dtype: str
    mode: str
    model: str = BACKBONE

    def __str__(self) -> str:
        model = '' if self.model == BACKBONE else f'{self.model} '
        return (
            f'{model}{self.arch} {size_text(self.size)} batch {self.batch} {self.dtype} {self.mode}'
        )


@dataclass(frozen=True)
class SizeSpec:
    """A size and its batches; if there are none, those of the grid are used."""

    size: tuple[int, int]
    batches: tuple[int, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A product of cases, and their contenders.

    Attributes:
        archs: Names of the arch zoo.
        sizes: Image sizes.
        batches: Batches of the sizes without own batches.
        dtypes: Keys of :data:`DTYPES`.
        modes: Some of :data:`MODES`.
        contenders: Names, see ``contenders.py``.
        model: ``'backbone'`` or one of :data:`WHOLE_MODELS`.
        cuda_graph: Replay batch-1 inference as CUDA graphs too.
    """

    archs: tuple[str, ...] = ('lite_small',)
    sizes: tuple[SizeSpec, ...] = (SizeSpec((512, 512)),)
    batches: tuple[int, ...] = (1,)
    dtypes: tuple[str, ...] = ('fp32',)
    modes: tuple[str, ...] = ('inference',)
    contenders: tuple[str, ...] = field(default=())
    model: str = BACKBONE
    cuda_graph: bool = False

    def cases(self) -> Iterator[Case]:
        """Yield the cases; cases with the same reference output are neighbours."""
        for arch in self.archs:
            for spec in self.sizes:
                for batch in spec.batches or self.batches:
                    for mode in self.modes:
                        for dtype in self.dtypes:
                            yield Case(arch, spec.size, batch, dtype, mode, self.model)


def size_text(size: Sequence[int]) -> str:
    """(800, 1344) -> '800x1344', (512, 512) -> '512'."""
    return str(size[0]) if size[0] == size[1] else f'{size[0]}x{size[1]}'


def parse_size(text: str) -> SizeSpec:
    """Return the size of a text such as ``512``, ``800x1344`` or, with its own batches, ``224@1,64``.

    Raises:
        ValueError: The text has another form.
    """
    match = re.fullmatch(r'(\d+)(?:x(\d+))?(?:@(\d+(?:,\d+)*))?', text)
    numbers = [int(n) for n in re.findall(r'\d+', text)] if match else [0]
    if not match or min(numbers) < 1:
        raise ValueError(
            f'a size is S, HxW, or S@BATCH,BATCH: 512, 800x1344, 224@1,64; got {text!r}'
        )
    height, width, batches = match.groups()
    size = int(height), int(width or height)
    return SizeSpec(size, tuple(int(b) for b in batches.split(',')) if batches else ())


def check_grid(grid: Grid) -> None:
    """Raise a ValueError that names the first invalid value, and the choices."""
    for what, values, choices in (
        ('arch', grid.archs, tuple(ARCH_ZOO)),
        ('dtype', grid.dtypes, tuple(DTYPES)),
        ('mode', grid.modes, MODES),
        ('model', (grid.model,), (BACKBONE, *WHOLE_MODELS)),
    ):
        for value in values:
            if value not in choices:
                raise ValueError(f'{what} must be one of {choices}, got {value!r}')
    if min(grid.batches) < 1:
        raise ValueError(f'batch sizes must be positive, got {grid.batches}')
    smallest = min(min(spec.size) for spec in grid.sizes)
    if smallest < 32:
        raise ValueError(f'sizes must be at least 32 pixels, got {smallest}')
