"""A module that replaces ``mmcv._ext``, and its installation."""

import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from mmengine.logging import print_log

from . import deform_conv, focal_loss, ms_deform_attn, nms, roi_align

NAME = 'mmcv._ext'
OPERATORS: dict[str, Callable] = {
    'nms': nms.nms,
    'softnms': nms.softnms,
    **{
        name: getattr(module, name)
        for module, names in (
            (roi_align, ('roi_align_forward', 'roi_align_backward')),
            (focal_loss, ('sigmoid_focal_loss_forward', 'sigmoid_focal_loss_backward')),
            (
                deform_conv,
                (
                    'modulated_deform_conv_forward',
                    'modulated_deform_conv_backward',
                    'deform_conv_forward',
                    'deform_conv_backward_input',
                    'deform_conv_backward_parameters',
                ),
            ),
            (ms_deform_attn, ('ms_deform_attn_forward', 'ms_deform_attn_backward')),
        )
        for name in names
    },
    'get_compiler_version': lambda: 'none: mmcoat.compat',
    'get_compiling_cuda_version': lambda: 'none: mmcoat.compat',
}


class MissingOperatorError(NotImplementedError):
    """An MMCV operator was called that is not compiled and that mmcoat does not have either."""


class Extension(ModuleType):
    """The module that MMCV uses as its compiled one: our operators, and an error for every other operator.

    MMCV's files look up all their operators by name when they are imported, so every name must exist. An
    operator that is not ours raises an error when it is called.
    """

    def __init__(self) -> None:
        super().__init__(NAME, 'MMCV operators in PyTorch, from mmcoat.compat.')
        # MMEngine and MMCV look for operators with importlib.util.find_spec, which needs a spec. MMEngine
        # 0.10 uses pkgutil.find_loader, which needs a loader in the spec.
        self.__spec__ = ModuleSpec(NAME, Loader(), origin='mmcoat.compat')
        self.__dict__.update(OPERATORS)

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')

        def missing(*args: Any, **kwargs: Any) -> None:
            raise MissingOperatorError(_missing_text(name))

        return missing


def use_pytorch_ops(force: bool = False) -> bool:
    """Make MMCV use mmcoat's operators if its own are not compiled; log one line if so.

    Call it before models are built, best before MMDetection or MMSegmentation is imported. If MMCV has
    compiled operators, even broken ones, nothing changes.

    Args:
        force: Replace compiled operators too (for comparisons); only before ``mmcv.ops`` is imported.

    Returns:
        Whether MMCV uses mmcoat's operators now.

    Raises:
        RuntimeError: ``force`` after ``mmcv.ops`` was imported with compiled operators.
    """
    if isinstance(sys.modules.get(NAME), Extension):
        return True
    there = find_spec('mmcv') is not None and _is_there()
    if find_spec('mmcv') is None or (there and not force):
        return False
    if 'mmcv.ops' in sys.modules:
        raise RuntimeError(
            'mmcv.ops has been imported with other operators: call use_pytorch_ops(force=True) before'
        )
    sys.modules[NAME] = Extension()
    _mend_earlier_imports()
    why = 'in place of its compiled ones' if there else 'which has none compiled here'
    print_log(f'mmcoat.compat provides operators in PyTorch to MMCV, {why}', logger='current')
    return True


def _is_there() -> bool:
    """Return whether MMCV has compiled operators (or someone's stand-in), without importing MMCV."""
    if NAME in sys.modules:
        return True
    spec = find_spec('mmcv')
    return PathFinder.find_spec(NAME, spec.submodule_search_locations) is not None


def _mend_earlier_imports() -> None:
    """Set the operators in modules that were imported earlier, without them.

    If the import of a name from ``mmcv.ops`` fails, MMSegmentation's files set the name to None, and MMCV's
    ``cnn.bricks.transformer`` does not define it.
    """
    users = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(('mmseg.', 'mmdet.', 'mmpretrain.')) and module is not None
    ]
    bricks = sys.modules.get('mmcv.cnn.bricks.transformer')
    if not users and bricks is None:
        return
    ops = importlib.import_module('mmcv.ops')
    for module in users:
        for name, value in list(vars(module).items()):
            if value is None and name.lstrip('_') in vars(ops):
                setattr(module, name, getattr(ops, name.lstrip('_')))
    if bricks is not None:
        bricks.MultiScaleDeformableAttention = ops.MultiScaleDeformableAttention


def _missing_text(name: str) -> str:
    own = ', '.join(sorted(n for n in OPERATORS if not n.startswith('get_')))
    return (
        f'{name!r} of MMCV is not compiled here, and mmcoat.compat has only {own}; build MMCV with its '
        f'operators: MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps --no-cache-dir '
        f'--no-build-isolation {_requirement()}'
    )


def _requirement() -> str:
    """Return line and version of the installed MMCV as a requirement for pip."""
    from importlib.metadata import packages_distributions, version

    names = [n for n in packages_distributions().get('mmcv', []) if 'mmcv' in n]
    return f'{names[0]}=={version(names[0])}' if names else 'mmcv'
