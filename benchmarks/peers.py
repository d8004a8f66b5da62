"""The peers: timm's CoaT, the official code from a checkout, and Swin-T from MMSegmentation or MMDetection.

All are built as backbones that return their four maps. What cannot be built raises an UnavailableError that
says why. None of their code is part of mmcoat.
"""

import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
from torch import Tensor, nn

from .cases import UnavailableError

MAPS = ('x1_nocls', 'x2_nocls', 'x3_nocls', 'x4_nocls')
OFFICIAL_FILE = Path('src', 'models', 'coat.py')
PEERS_FOLDER = 'benchmark'  # in the environment; the Makefile fills it


class Maps(nn.Module):
    """A backbone that returns a dict of maps, made to return a tuple."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> four maps (B, C, h, w)."""
        maps = self.model(x)
        return tuple(maps[name] for name in MAPS)


def _with_maps(
    build: Callable[..., nn.Module], weights: Mapping[str, Tensor], **settings: object
) -> nn.Module:
    model = build(return_interm_layers=True, out_features=list(MAPS), **settings)
    model.load_state_dict(weights, strict=True)
    return Maps(model)


def import_timm() -> ModuleType:
    """Import timm, from the environment or from the folder that ``make benchmark`` fills."""
    folder = Path(sys.prefix, PEERS_FOLDER)
    if importlib.util.find_spec('timm') is None and (folder / 'timm').is_dir():
        sys.path.append(str(folder))
    try:
        declare_torchvision_operators()
        return importlib.import_module('timm')
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UnavailableError(
            f'timm cannot be imported: {reason} (`make benchmark` installs it)'
        ) from error


@functools.cache  # which also keeps the declarations
def declare_torchvision_operators() -> torch.library.Library | None:
    """Make a torchvision without its compiled operators importable; do nothing to one that works.

    The wheel on the package index is a CUDA build: with a CPU build of PyTorch its compiled operators are
    missing and its import fails. No code here calls them, so declarations are enough. MMEngine and
    MMDetection would fail with such a torchvision, so ``make benchmark`` puts it into a separate folder.
    """
    try:
        importlib.import_module('torchvision')
    except RuntimeError:
        library = torch.library.Library('torchvision', 'DEF')
        for name in ('nms', 'qnms'):
            library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
        return library
    return None


def build_timm(arch: str, size: tuple[int, int], weights: Mapping[str, Tensor]) -> nn.Module:
    """Build timm's CoaT for one size, with our weights."""
    import_timm()
    if any(n % 32 for n in size):
        raise UnavailableError(f"timm's CoaT takes multiples of 32 only, not {size[0]} x {size[1]}")
    # Not through timm's registry: importing the official code replaces the entries there.
    coat = importlib.import_module('timm.models.coat')
    return _with_maps(getattr(coat, f'coat_{arch}'), weights, img_size=size)


def build_official(arch: str, root: Path | None, weights: Mapping[str, Tensor]) -> nn.Module:
    """Build the paper's code from a checkout, with our weights."""
    if root is None:
        raise UnavailableError("no --official PATH to a checkout of the paper's repository")
    build = getattr(import_official(root), f'coat_{arch}', None)
    if build is None:
        raise UnavailableError(f'{root / OFFICIAL_FILE} has no coat_{arch}')
    return _with_maps(build, weights)


@functools.cache
def import_official(root: Path) -> ModuleType:
    """Import ``src/models/coat.py`` of a checkout."""
    path = (root / OFFICIAL_FILE).resolve()
    if not path.is_file():
        raise UnavailableError(
            f"{root} is not a checkout of the paper's repository: it has no {OFFICIAL_FILE}"
        )
    import_timm()
    spec = importlib.util.spec_from_file_location('mmcoat_official', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # torch.compile looks there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # it imports timm by its old names
            registry = importlib.import_module('timm.models.registry')
            # where the official models would replace timm's own
            with mock.patch.object(registry, 'register_model', lambda function: function):
                spec.loader.exec_module(module)
    except Exception as error:
        raise UnavailableError(
            f'{path.name} of the checkout cannot be imported: {error}'
        ) from error
    return module


def build_swin() -> nn.Module:
    """Build Swin-T with its four maps and random weights, from whichever toolbox is installed."""
    for toolbox in ('mmseg', 'mmdet'):
        try:
            models = importlib.import_module(f'{toolbox}.models.backbones')
        except ImportError:
            continue
        # its defaults are Swin-T; stochastic depth would make training steps differ
        return models.SwinTransformer(drop_path_rate=0.0)
    raise UnavailableError('Swin-T needs MMSegmentation or MMDetection')
