"""The contenders: this backbone in its variants, and its peers, each eager, compiled, or as a CUDA graph.

A new contender is one more entry of :data:`FAMILIES`: a function from a :class:`Setup` to a backbone that
returns four maps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mmcoat.models import CoaT
from mmcoat.models.prepare import prepare_for_inference

from . import peers
from .cases import DTYPES, Case
from .errors import UnavailableError
from .weights import fill, foreign_weights

COMPILED, GRAPH = '-compiled', '-graph'


@dataclass(frozen=True)
class Setup:
    """The input of a builder.

    Attributes:
        case: What is measured.
        device: Where.
        official: Checkout of the paper's repository.
    """

    case: Case
    device: torch.device
    official: Path | None = None


@dataclass(frozen=True)
class Contender:
    """One row of a case.

    Attributes:
        name: As in ``--contenders``.
        family: Key of :data:`FAMILIES`.
        compiled: Run through ``torch.compile``.
        graph: Replayed as a CUDA graph.
    """

    name: str
    family: str
    compiled: bool = False
    graph: bool = False

    @property
    def is_coat(self) -> bool:
        """Whether its outputs must be equal to the reference."""
        return self.family != 'swin'


def build_coat(backend: str = 'auto', arch: str = 'lite_small', with_cp: bool = False) -> CoaT:
    """Build our backbone with the common weights.

    Raises:
        UnavailableError: This machine does not have the backend.
    """
    model = CoaT(arch, with_cp=with_cp)
    fill(model)
    if backend == 'auto':
        return model
    try:
        model.set_backend(backend)
    except (ValueError, RuntimeError, ImportError) as error:
        raise UnavailableError(f'backend {backend!r}: {error}') from error
    return model


def build_reference(arch: str) -> CoaT:
    """Build the reference for all outputs; in training it recomputes, to need no more memory than others."""
    return build_coat('reference', arch, with_cp=True)


def _fused(setup: Setup) -> nn.Module:
    if setup.device.type != 'cuda':
        raise UnavailableError('the fused operators need a CUDA device')
    return build_coat('fused', setup.case.arch)


def _prepared(setup: Setup) -> nn.Module:
    if setup.case.mode == 'train':
        raise UnavailableError('prepared models only infer')
    return prepare_for_inference(
        build_coat('auto', setup.case.arch).eval(), DTYPES[setup.case.dtype]
    )


def _recompute(setup: Setup) -> nn.Module:
    if setup.case.mode != 'train':
        raise UnavailableError('recomputing (with_cp) is for training')
    return build_coat('auto', setup.case.arch, with_cp=True)


def _timm(setup: Setup) -> nn.Module:
    weights = foreign_weights(build_coat(arch=setup.case.arch), 'timm')
    return peers.build_timm(setup.case.arch, setup.case.size, weights)


def _official(setup: Setup) -> nn.Module:
    weights = foreign_weights(build_coat(arch=setup.case.arch), 'official')
    return peers.build_official(setup.case.arch, setup.official, weights)


def _swin(setup: Setup) -> nn.Module:
    return peers.build_swin()


FAMILIES: dict[str, Callable[[Setup], nn.Module]] = {
    'reference': lambda setup: build_coat('reference', setup.case.arch),
    'plain': lambda setup: build_coat('plain', setup.case.arch),
    'default': lambda setup: build_coat('auto', setup.case.arch),
    'prepared': _prepared,
    'fused': _fused,
    'recompute': _recompute,
    'timm': _timm,
    'official': _official,
    'swin': _swin,
}
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
        ValueError: Unknown name.
    """
    graph = name.endswith(GRAPH)
    rest = name[: -len(GRAPH)] if graph else name
    if rest == 'compiled':
        rest = 'default' + COMPILED
    compiled = rest.endswith(COMPILED)
    family = rest[: -len(COMPILED)] if compiled else rest
    if family not in FAMILIES:
        raise ValueError(
            f'contender must be one of {("compiled", *FAMILIES)}, or one of them with {COMPILED} or {GRAPH}; '
            f'got {name!r}'
        )
    return Contender(name, family, compiled, graph)


def build(contender: Contender, setup: Setup) -> nn.Module:
    """Build a contender on the device, in the case's mode; compile it if requested.

    Raises:
        UnavailableError: It cannot take part; the message says why.
    """
    if contender.graph and setup.device.type != 'cuda':
        raise UnavailableError('CUDA graphs need a CUDA device')
    model = FAMILIES[contender.family](setup).to(setup.device)
    if contender.family != 'prepared':
        model.train(setup.case.mode == 'train')  # MMSegmentation's Swin returns None from it
    return model
