"""Config files: find and read them, override their settings, move their data."""

import os
import textwrap
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcoat.errors import UsageError

from .keys import check_keys
from .variables import apply_from_file, apply_options, move_paths, set_variable
from .walk import datasets


def load_config(
    path: str, options: dict[str, Any] | None = None, allow_new_keys: bool = False
) -> Config:
    """Read a config file and merge ``--cfg-options`` into it.

    ``crop_size``, ``num_classes``, ``data_root``, ``classes`` and the other variables of the user's data are
    set in one place, at the top of a file or as an option, and are copied to every place that repeats them.
    Options that name one place have priority.

    Raises:
        UsageError: The file is missing or faulty, it needs a missing package, or an option does not fit the
            config.
    """
    cfg = _read(path)
    apply_from_file(cfg, path)
    options = dict(options or {})
    if not allow_new_keys:
        check_keys(cfg, options)
    apply_options(cfg, options, path)
    _merge(cfg, options, path)
    return cfg


def _read(path: str) -> Config:
    if not Path(path).is_file():
        raise UsageError(f'config {path} does not exist')
    try:
        return Config.fromfile(path)
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f'config {path} needs a toolbox that is not installed: {reason}') from None
    except Exception as error:  # a config is a program, so any error is possible
        lines = str(error).splitlines() or ['']
        raise UsageError(
            f'config {path} cannot be read: {type(error).__name__}: {lines[0]}'
        ) from None


def _merge(cfg: Config, options: dict[str, Any], path: str) -> None:
    """Merge options that name one place; the paths of an evaluator follow the root of its data set."""
    moved = {}
    for name in ('val', 'test'):
        if f'{name}_dataloader.dataset.data_root' in options:
            moved[name] = [d.data_root for d in datasets(cfg, (name,)) if 'data_root' in d]
    for name, old in moved.items():
        new = options[f'{name}_dataloader.dataset.data_root']
        if isinstance(new, str):
            move_paths(cfg.get(f'{name}_evaluator'), old, new)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        reason = str(error.args[0] if error.args else error)
        raise UsageError(
            f'--cfg-options does not fit {path}: {textwrap.shorten(reason, 300)}'
        ) from None


def save_config(cfg: Config, path: str) -> None:
    """Write a config with everything that it inherits into a new file.

    Raises:
        UsageError: The file exists, cannot be written, or has another ending than .py, .json or .yml.
    """
    if not path.endswith(('.py', '.json', '.yml')):
        raise UsageError(f'--save-path must end in .py, .json or .yml: {path}')
    if os.path.lexists(path):
        raise UsageError(f'--save-path {path} exists; name another file or remove it')
    try:
        cfg.dump(path)
    except OSError as error:
        raise UsageError(f'--save-path {path} cannot be written: {error.strerror}') from None


def find_config(name: str) -> Path:
    """Return the path of a config of this package, in the checkout or in an installed copy.

    Raises:
        UsageError: There is no such config.
    """
    package = Path(__file__).parent.parent
    for folder in (package.parent / 'configs', package / '.mim' / 'configs'):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f'mmcoat has no config {name}')


def find_model(name: str | None, detection: bool = False) -> Path:
    """Return the config of a model's short name, as a base for a config with the user's own data.

    Args:
        name: ``fpn_coat_lite_s``, ``mask_rcnn_coat_s_3x``..., or a config's whole name; None takes a small
            model.
        detection: True for COCO annotations, False for label maps.

    Raises:
        UsageError: There is no such model for this task.
    """
    name = name or ('mask_rcnn_coat_lite_s' if detection else 'fpn_coat_lite_s')
    endings = ('_coco', '_1x_coco') if detection else ('_ade20k',)
    folder = find_config('fpn_coat_lite_s_own.py').parent
    models = {p.stem.removesuffix(e): p for e in endings for p in folder.glob(f'*{e}.py')}
    wanted = name.removesuffix('.py').removesuffix('_own')
    found = models.get(wanted) or models.get(wanted.removesuffix(endings[0]))
    if found is None:
        raise UsageError(
            f'there is no model {name!r} for this task; choose one of {sorted(models)}'
        )
    own = folder / f'{wanted}_own.py'
    return own if own.is_file() else found


def set_data_root(cfg: Config, data_root: str) -> None:
    """Set ``data_root`` of every dataset; evaluators' files under an old root move to the new one."""
    set_variable(cfg, 'data_root', data_root)
