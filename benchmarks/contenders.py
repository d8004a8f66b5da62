"""The contenders: this backbone in its variants, and its peers, each eager, compiled, or as a CUDA graph.

A new contender is one more entry of :data:`FAMILIES`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mmcoat.checkpoints.convert import from_own
from mmcoat.errors import UsageError
from mmcoat.models import CoaT
from mmcoat.models.prepare import prepare_for_inference

from . import peers
from .cases import BACKBONE, DTYPES, SEED, Case, Grid, UnavailableError

COMPILED, GRAPH = '-compiled', '-graph'
NO_GRAPHS = ('reference', 'official')  # no user would run these as graphs


@dataclass(frozen=True)
class Contender:
    """One row of a case."""

    name: str  # as in --contenders
    family: str  # key of FAMILIES
    compiled: bool = False  # run through torch.compile
    graph: bool = False  # replayed as a CUDA graph

    @property
    def is_coat(self) -> bool:
        """Whether its outputs must be equal to the reference."""
        return self.family != 'swin'


def fill(model: nn.Module, seed: int = SEED) -> None:
    """Set every parameter to seeded random numbers with the magnitude of a trained network's.

    The usual initialisation is not suitable: biases of zero and norms of one hide mistakes.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            numbers = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                numbers /= parameter[0].numel() ** 0.5
            else:
                numbers = 0.1 * numbers + name.endswith('.weight')
            parameter.copy_(numbers)


def build_coat(backend: str = 'auto', arch: str = 'lite_small', with_cp: bool = False) -> CoaT:
    """Build our backbone with the common weights.

    Raises:
        UnavailableError: This machine does not have the backend.
    """
    model = CoaT(arch, with_cp=with_cp)
    fill(model)
    try:
        model.set_backend(backend)
    except (ValueError, RuntimeError, ImportError) as error:
        raise UnavailableError(f'backend {backend!r}: {error}') from error
    return model


def _weights(arch: str, names: str) -> dict[str, Tensor]:
    return from_own(build_coat(arch=arch).state_dict(), names).weights


def _prepared(case: Case) -> nn.Module:
    return prepare_for_inference(build_coat('auto', case.arch).eval(), DTYPES[case.dtype])


# from the case and the checkout of the paper's repository, if any, to a backbone that returns four maps
FAMILIES: dict[str, Callable[[Case, Path | None], nn.Module]] = {
    'reference': lambda case, _: build_coat('reference', case.arch),
    'plain': lambda case, _: build_coat('plain', case.arch),
    'default': lambda case, _: build_coat('auto', case.arch),
    'prepared': lambda case, _: _prepared(case),
    'fused': lambda case, _: build_coat('fused', case.arch),
    'recompute': lambda case, _: build_coat('auto', case.arch, with_cp=True),
    'timm': lambda case, _: peers.build_timm(case.arch, case.size, _weights(case.arch, 'timm')),
    'official': lambda case, root: peers.build_official(
        case.arch, root, _weights(case.arch, 'official')
    ),
    'swin': lambda case, _: peers.build_swin(),
}
ONLY_MODE = {'prepared': 'inference', 'recompute': 'train'}
HELP = {
    'reference': 'this backbone with the plain forms of the operators, op by op',
    'plain': 'this backbone without fused operators',
    'default': 'this backbone with its default settings',
    'prepared': 'default after prepare_for_inference (inference)',
    'compiled': 'default through torch.compile',
    'fused': 'this backbone with the Triton operators (CUDA)',
    'recompute': 'default with with_cp=True (training)',
    'timm': "timm's CoaT, with the same weights",
    'official': "the paper's code (--official), with the same weights",
    'swin': 'Swin-T of MMSegmentation or MMDetection, random weights, a reference for speed only',
}


def parse_contender(name: str) -> Contender:
    """Return the contender of a name such as ``timm``, ``timm-compiled`` or ``default-graph``.

    Raises:
        UsageError: Unknown name.
    """
    rest = name.removesuffix(GRAPH)
    family = 'default' if rest == 'compiled' else rest.removesuffix(COMPILED)
    if family not in FAMILIES:
        raise UsageError(
            f'contender must be one of {("compiled", *FAMILIES)}, or one of them with {COMPILED} or {GRAPH}; '
            f'got {name!r}'
        )
    return Contender(name, family, rest.endswith('compiled'), name.endswith(GRAPH))


def standard_contenders(model: str, device: str, official: bool) -> tuple[str, ...]:
    """Return the default contenders of a backbone or whole model, those that the device can run."""
    names = ['reference', 'default', 'prepared', 'compiled']
    if device == 'cuda':
        names += ['fused', 'fused-compiled']
    if model == BACKBONE:
        names += ['recompute', 'timm', 'timm-compiled']
        names += ['official', 'official-compiled'] if official else []
    return (*names, 'swin', 'swin-compiled')


def contenders_of(grid: Grid, case: Case) -> list[Contender]:
    """Return the contenders of a case of the grid.

    Swin-T is one model, so it takes part for only one arch: its peer Lite Small, or else the first arch.
    """
    names = list(grid.contenders)
    if grid.cuda_graph and case.batch == 1 and case.mode == 'inference':
        names += [name + GRAPH for name in names if not name.startswith(NO_GRAPHS)]
    swin_arch = 'lite_small' if 'lite_small' in grid.archs else grid.archs[0]
    return [
        contender
        for contender in map(parse_contender, dict.fromkeys(names))
        if ONLY_MODE.get(contender.family, case.mode) == case.mode
        and (contender.is_coat or case.arch == swin_arch)
    ]


def plan(grids: Iterable[Grid]) -> dict[Case, list[Contender]]:
    """Return all cases and their contenders; where grids overlap, the first one counts.

    Raises:
        UsageError: A value or a contender is invalid.
    """
    found: dict[Case, list[Contender]] = {}
    for grid in grids:
        for case in grid.cases():
            found.setdefault(case, contenders_of(grid, case))
    return found


def build(
    contender: Contender, case: Case, device: torch.device, official: Path | None
) -> nn.Module:
    """Build a contender on the device, in the case's mode.

    Raises:
        UnavailableError: It cannot take part; the message says why.
    """
    if device.type != 'cuda' and (contender.graph or contender.family == 'fused'):
        what = 'CUDA graphs need' if contender.graph else 'the fused operators need'
        raise UnavailableError(f'{what} a CUDA device')
    model = FAMILIES[contender.family](case, official).to(device)
    if contender.family != 'prepared':
        model.train(case.mode == 'train')  # MMSegmentation's Swin returns None from it
    return model
