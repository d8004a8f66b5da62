"""Named sets of cases, chosen by one option."""

from dataclasses import replace
from typing import NamedTuple

from mmcoat.arch import ARCH_ZOO

from .cases import Grid

ALL = tuple(ARCH_ZOO)
PAIR = ('lite_small', 'small')
BOTH = ('inference', 'train')
BF16 = ('bf16',)
COMPILED = ('default', 'compiled', 'timm', 'timm-compiled')
GROWTH_SIZES = ('512', '1024', '1024x2048', '2048')


class Preset(NamedTuple):
    """Grids under one name."""

    help: str
    grids: tuple[Grid, ...]


# UperNet needs batches of at least 2 in training: it has a batch norm over one pixel.
WHOLE_MODEL_GRIDS = (
    Grid(sizes=('512@1,2',), model='upernet'),
    Grid(sizes=('512@2',), modes=('train',), model='upernet'),
    Grid(sizes=('800x1344@1,2',), modes=BOTH, model='mask_rcnn'),
)
PRESETS = {
    'cpu': Preset(
        'all archs at 512 px, batch 1, fp32 and bf16, inference and training; Lite Small and Small at 224 px '
        'and 800 x 1344',
        (
            Grid(ALL, dtypes=('fp32', 'bf16'), modes=BOTH),
            Grid(PAIR, ('224', '800x1344')),
        ),
    ),
    'gpu': Preset(
        'all archs at 512 px, batch 1 and 16; Lite Small and Small at 224 px and 800 x 1344, fp32, CUDA '
        'graphs; growth; whole models',
        (
            Grid(ALL, ('512@1,16',), BF16, BOTH),
            Grid(PAIR, ('224@1,64', '800x1344@1,2'), BF16, BOTH, cuda_graph=True),
            Grid(PAIR, ('512@1,16',), modes=BOTH),
            Grid(PAIR, GROWTH_SIZES, BF16, BOTH),
            *(replace(grid, dtypes=BF16) for grid in WHOLE_MODEL_GRIDS),
        ),
    ),
    'gpu-quick': Preset(
        'the ratios that matter most, in a fraction of the time: few contenders, little to compile',
        (
            Grid(PAIR, ('512@16',), BF16, BOTH, (*COMPILED, 'recompute', 'swin', 'swin-compiled')),
            Grid(ALL, ('512@16',), BF16, BOTH, ('default', 'recompute', 'timm')),
            Grid(PAIR, ('224', '512'), BF16, contenders=COMPILED, cuda_graph=True),
            Grid(PAIR, GROWTH_SIZES, BF16, contenders=('default', 'timm')),
        ),
    ),
}
