"""Keys of ``--cfg-options`` that the config does not have: distinguish valid keys from typing errors."""

import difflib
import inspect
from typing import Any

from mmengine import registry
from mmengine.config import Config
from mmengine.runner import Runner, set_random_seed
from torch.utils.data import DataLoader

from mmcoat.errors import UsageError

from .variables import VARIABLES, WEIGHTS

REGISTRIES = [
    'MODELS',
    'DATASETS',
    'TRANSFORMS',
    'METRICS',
    'HOOKS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'PARAM_SCHEDULERS',
    'LOOPS',
]
REGISTRIES += [
    'VISUALIZERS',
    'VISBACKENDS',
    'DATA_SAMPLERS',
    'WEIGHT_INITIALIZERS',
    'LOG_PROCESSORS',
]
REGISTRIES += ['OPTIM_WRAPPER_CONSTRUCTORS', 'EVALUATOR', 'RUNNERS']
# Parts without a type, and the additional keys that they may have.
TOP = {
    'custom_imports',
    'runner_type',
    'tta_model',
    'tta_pipeline',
    'auto_scale_lr',
    'find_unused_parameters',
    'select_classes',
    WEIGHTS,
}
UNTYPED = {
    'randomness': set(inspect.signature(set_random_seed).parameters),
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'test_cfg': {'mode', 'crop_size', 'stride', 'size_divisor', 'fp16'},
    'env_cfg': {'resource_limit'},
    'paramwise_cfg': {
        'custom_keys', 'norm_decay_mult', 'bias_lr_mult', 'bias_decay_mult', 'dwconv_decay_mult',
        'flat_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate',
    },
}  # fmt: skip
LOADER = {'dataset', 'num_batch_per_epoch', 'collate_fn', 'worker_init_fn'}
LOADER |= set(inspect.signature(DataLoader.__init__).parameters)
FREE = ('custom_keys', 'default_hooks', 'backend_args', 'metainfo', 'dist_cfg', 'mp_cfg')


def check_keys(cfg: Config, options: dict[str, Any]) -> None:
    """Refuse options whose key is not in the config and is not an argument of the class there.

    Raises:
        UsageError: A key is unknown; the message names the key, its part of the config, and the nearest key.
    """
    for option in options:
        _check(cfg, option)


def _check(cfg: Config, option: str) -> None:
    node: Any = cfg._cfg_dict
    path: list[str] = []
    for key in option.split('.'):
        if isinstance(node, list | tuple):
            if not key.isdigit() or int(key) >= len(node):
                return  # merging reports the index that does not fit
            node = node[int(key)]
        elif not isinstance(node, dict):
            return  # a value becomes a dict, whose valid keys are not known here
        elif key in node:
            node = node[key]
        else:
            allowed = _allowed(node, path, cfg.get('default_scope'))
            if allowed is not None and key not in allowed:
                raise _unknown(option, key, path, {*node, *allowed})
            return
        path.append(key)


def _allowed(node: dict, path: list[str], scope: str | None) -> set[str] | None:
    """Return the keys that may be added to a part of a config; None if any key may."""
    if not path:
        return (
            TOP
            | (set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'})
            | set(VARIABLES)
        )
    last = path[-1]
    if last in FREE:
        return None
    if 'type' in node:
        return _arguments(node['type'], scope)
    if last.endswith('_dataloader'):
        return LOADER
    return UNTYPED.get(last, set()) | {'type', '_delete_'}


def _arguments(kind: Any, scope: str | None) -> set[str] | None:
    """Return the arguments of a registered class, including its parents'; None if it is not found."""
    cls = kind if callable(kind) else _find(kind, scope)
    if cls is None:
        return None
    names = {'_delete_', 'type', 'init_cfg', '_scope_'}
    makers = [c.__init__ for c in cls.__mro__] if inspect.isclass(cls) else [cls]
    for maker in makers:
        try:
            names |= set(inspect.signature(maker).parameters)
        except (TypeError, ValueError):  # a method written in C
            continue
    special = getattr(cls, '__name__', '')
    if special.endswith('OptimWrapper'):
        names |= {'constructor', 'paramwise_cfg', 'loss_scale', 'dtype'}
    if special.endswith(('LR', 'Momentum')):
        names |= {'convert_to_iter_based'}
    return names - {'self', 'args', 'kwargs'}


def _find(kind: str, scope: str | None) -> Any:
    for name in REGISTRIES:
        root = getattr(registry, name, None)
        if root is None:
            continue
        try:
            with root.switch_scope_and_registry(scope) as here:
                found = here.get(kind)
        except (ImportError, KeyError, AttributeError):
            continue
        if found is not None:
            return found
    return None


def _unknown(option: str, key: str, path: list[str], known: set) -> UsageError:
    where = '.'.join(path) or 'the config'
    near = difflib.get_close_matches(key, [str(k) for k in known], n=1, cutoff=0.5)
    hint = f'; did you mean {".".join([*path, near[0]])}?' if near else ''
    return UsageError(
        f'--cfg-options {option}: {where} has no key {key!r}{hint} (--allow-new-keys permits new ones)'
    )
