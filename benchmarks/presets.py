"""Named sets of cases, chosen by one option."""

from dataclasses import dataclass, replace

from mmcoat.arch import ARCH_ZOO

from .cases import BACKBONE, Grid, SizeSpec

ALL = tuple(ARCH_ZOO)
PAIR = ('lite_small', 'small')
BOTH = ('inference', 'train')
PRECISIONS = ('fp32', 'bf16')
COMPILED_PEERS = ('timm', 'timm-compiled', 'swin', 'swin-compiled')
GROWTH_SIZES = (
    SizeSpec((512, 512)),
    SizeSpec((1024, 1024)),
    SizeSpec((1024, 2048)),
    SizeSpec((2048, 2048)),
)


@dataclass(frozen=True)
class Preset:
    """Grids under one name.

    Attributes:
        help: What they are.
        grids: Grids; those without contenders get the standard ones.
    """

    help: str
    grids: tuple[Grid, ...]


# UperNet needs batches of at least 2 in training: it has a batch norm over one pixel.
WHOLE_MODEL_GRIDS = (
    Grid(sizes=(SizeSpec((512, 512), (1, 2)),), model='upernet'),
    Grid(sizes=(SizeSpec((512, 512), (2,)),), modes=('train',), model='upernet'),
    Grid(sizes=(SizeSpec((800, 1344), (1, 2)),), modes=BOTH, model='mask_rcnn'),
)
PRESETS = {
    'cpu': Preset(
        'all archs at 512 px, batch 1, fp32 and bf16, inference and training; Lite Small and Small at 224 px '
        'and 800 x 1344',
        (
            Grid(archs=ALL, dtypes=PRECISIONS, modes=BOTH),
            Grid(archs=PAIR, sizes=(SizeSpec((224, 224)), SizeSpec((800, 1344)))),
        ),
    ),
    'gpu': Preset(
        'all archs at 512 px, batch 1 and 16; Lite Small and Small at 224 px and 800 x 1344, fp32, CUDA '
        'graphs; growth; whole models',
        (
            Grid(
                archs=ALL,
                sizes=(SizeSpec((512, 512), (1, 16)),),
                dtypes=('bf16',),
                modes=BOTH,
            ),
            Grid(
                archs=PAIR,
                sizes=(SizeSpec((224, 224), (1, 64)), SizeSpec((800, 1344), (1, 2))),
                dtypes=('bf16',),
                modes=BOTH,
                cuda_graph=True,
            ),
            Grid(archs=PAIR, sizes=(SizeSpec((512, 512), (1, 16)),), dtypes=('fp32',), modes=BOTH),
            Grid(archs=PAIR, sizes=GROWTH_SIZES, dtypes=('bf16',), modes=BOTH),
            *(replace(g, dtypes=('bf16',)) for g in WHOLE_MODEL_GRIDS),
        ),
    ),
    'gpu-quick': Preset(
        'the ratios that matter most, in a fraction of the time: few contenders, little to compile',
        (
            Grid(
                archs=PAIR,
                sizes=(SizeSpec((512, 512), (16,)),),
                dtypes=('bf16',),
                modes=BOTH,
                contenders=('default', 'compiled', 'recompute', *COMPILED_PEERS),
            ),
            Grid(
                archs=ALL,
                sizes=(SizeSpec((512, 512), (16,)),),
                dtypes=('bf16',),
                modes=BOTH,
                contenders=('default', 'recompute', 'timm'),
            ),
            Grid(
                archs=PAIR,
                sizes=(SizeSpec((224, 224)), SizeSpec((512, 512))),
                dtypes=('bf16',),
                contenders=('default', 'compiled', 'timm', 'timm-compiled'),
                cuda_graph=True,
            ),
            Grid(archs=PAIR, sizes=GROWTH_SIZES, dtypes=('bf16',), contenders=('default', 'timm')),
        ),
    ),
}


def standard_contenders(grid: Grid, device: str, official: bool) -> tuple[str, ...]:
    """Return the default contenders; for each that cannot run here, print a line with the reason."""
    ours = ['reference', 'default', 'prepared', 'compiled']
    if device == 'cuda':
        ours += ['fused', 'fused-compiled']
    if grid.model != BACKBONE:
        return (*ours, 'swin', 'swin-compiled')
    if 'train' in grid.modes:
        ours.append('recompute')
    paper = ['official', 'official-compiled'] if official else []
    return (*ours, 'timm', 'timm-compiled', *paper, 'swin', 'swin-compiled')
