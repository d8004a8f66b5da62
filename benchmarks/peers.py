"""The peers: timm's CoaT, the official code from a checkout, and Swin-T from MMSegmentation or MMDetection.

All are built as backbones that return their four maps. None of their code is part of mmcoat.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from .errors import UnavailableError

MAPS = ('x1_nocls', 'x2_nocls', 'x3_nocls', 'x4_nocls')
OFFICIAL_FILE = Path('src', 'models', 'coat.py')
PEERS_FOLDER = 'benchmark'  # in the environment; the Makefile fills it

# MMEngine and MMDetection would fail with a torchvision that cannot be imported, so it is in a separate
# folder. The wheel on the package index is a CUDA build: with a CPU build of PyTorch its compiled operators
# are missing and its import fails. No code here calls them, so declarations are enough.
_OPERATORS = ('nms', 'qnms')
_declared: torch.library.Library | None = None


class Maps(nn.Module):
    """A backbone that returns a dict of maps, made to return a tuple.

    Args:
        model: The backbone.
        names: Keys of the dict, in order.
    """

    def __init__(self, model: nn.Module, names: tuple[str, ...] = MAPS):
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> one (B, C, h, w) per name."""
        maps = self.model(x)
        return tuple(maps[name] for name in self.names)


def import_timm() -> ModuleType:
    """Import timm, from the environment or from the folder that ``make benchmark`` fills.

    Raises:
        UnavailableError: It is not there, or cannot be imported.
    """
    folder = Path(sys.prefix, PEERS_FOLDER)
    if importlib.util.find_spec('timm') is None and (folder / 'timm').is_dir():
        sys.path.append(str(folder))
    if importlib.util.find_spec('timm') is None:
        raise UnavailableError('timm is not installed (`make benchmark` does it)')
    try:
        declare_torchvision_operators()
        return importlib.import_module('timm')
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UnavailableError(f'timm cannot be imported: {reason}') from error


def declare_torchvision_operators() -> None:
    """Make a torchvision without its compiled operators importable; do nothing to one that works."""
    global _declared
    if _declared is not None:
        return
    try:
        importlib.import_module('torchvision')
    except RuntimeError:
        _declared = torch.library.Library('torchvision', 'DEF')
        for name in _OPERATORS:
            schema = f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
            _declared.define(schema)


def build_timm(arch: str, size: tuple[int, int], weights: Mapping[str, Tensor]) -> nn.Module:
    """Build timm's CoaT for one size, with our weights.

    Raises:
        UnavailableError: timm is missing, or does not take the size.
    """
    import_timm()
    if any(n % 32 for n in size):
        raise UnavailableError(f"timm's CoaT takes multiples of 32 only, not {size[0]} x {size[1]}")
    # Not through timm's registry: importing the official code replaces the entries there.
    coat = importlib.import_module('timm.models.coat')
    build = getattr(coat, f'coat_{arch}')
    model = build(img_size=size, return_interm_layers=True, out_features=list(MAPS))
    model.load_state_dict(weights, strict=True)
    return Maps(model)


def build_official(arch: str, root: Path | None, weights: Mapping[str, Tensor]) -> nn.Module:
    """Build the paper's code from a checkout, with our weights.

    Raises:
        UnavailableError: There is no checkout, it cannot be imported, or has no such arch.
    """
    if root is None:
        raise UnavailableError("no --official PATH to a checkout of the paper's repository")
    build = getattr(import_official(root), f'coat_{arch}', None)
    if build is None:
        raise UnavailableError(f'{root / OFFICIAL_FILE} has no coat_{arch}')
    model = build(return_interm_layers=True, out_features=list(MAPS))
    model.load_state_dict(weights, strict=True)
    return Maps(model)


def import_official(root: Path) -> ModuleType:
    """Import ``src/models/coat.py`` of a checkout.

    Raises:
        UnavailableError: Not such a checkout, or what it imports is missing.
    """
    path = (root / OFFICIAL_FILE).resolve()
    if not path.is_file():
        raise UnavailableError(
            f"{root} is not a checkout of the paper's repository: it has no {OFFICIAL_FILE}"
        )
    name = f'mmcoat_official_{abs(hash(str(path))):x}'
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _without_registration(), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # it imports timm by its old names
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UnavailableError(
            f'{path.name} of the checkout cannot be imported: {error}'
        ) from error
    return module


@contextmanager
def _without_registration() -> Iterator[None]:
    """Keep the official models out of timm's registry, where they would replace timm's own."""
    import_timm()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # an old name
        registry = importlib.import_module('timm.models.registry')
    register, registry.register_model = registry.register_model, lambda function: function
    try:
        yield
    finally:
        registry.register_model = register


def build_swin() -> nn.Module:
    """Build Swin-T with its four maps and random weights, from whichever toolbox is installed.

    Raises:
        UnavailableError: Neither is installed.
    """
    for toolbox in ('mmseg', 'mmdet'):
        try:
            models = importlib.import_module(f'{toolbox}.models.backbones')
        except ImportError:
            continue
        # its defaults are Swin-T; stochastic depth would make training steps differ
        return models.SwinTransformer(drop_path_rate=0.0)
    raise UnavailableError('Swin-T needs MMSegmentation or MMDetection')
