"""Config files: find and read them, override their settings, move their data."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmcoat.errors import UsageError


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and merge ``--cfg-options`` into it.

    Raises:
        UsageError: The file is missing, needs a package that is, or an option does not fit the config.
    """
    if not Path(path).is_file():
        raise UsageError(f'config {path} does not exist')
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f'config {path} needs a toolbox that is not installed: {reason}') from None
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError) as error:
        raise UsageError(f'--cfg-options does not fit {path}: {error}') from None
    if options and 'data_root' in options:
        set_data_root(cfg, options['data_root'])
    return cfg


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


def set_data_root(cfg: Config, data_root: str) -> None:
    """Set ``data_root`` of every dataset: inside a config the variable was copied when it was read.

    Annotation files of evaluators that lie under the old root move along.
    """
    old = None
    for dataset in datasets(cfg):
        if 'data_root' in dataset:
            old = dataset.data_root
            dataset.data_root = data_root
    for name in ('val_evaluator', 'test_evaluator'):
        evaluators = cfg.get(name) or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            ann_file = evaluator.get('ann_file')
            if ann_file and old and ann_file.startswith(old):
                evaluator.ann_file = os.path.join(data_root, ann_file[len(old) :].lstrip('/'))
    cfg.data_root = data_root


def datasets(
    cfg: Config, names: tuple[str, ...] = ('train', 'val', 'test')
) -> Iterator[ConfigDict]:
    """Yield the innermost dataset configs of the dataloaders ``<name>_dataloader``."""
    for name in names:
        loader = cfg.get(f'{name}_dataloader')
        pending = [loader.dataset] if loader and 'dataset' in loader else []
        while pending:
            dataset = pending.pop()
            inner = dataset.get('dataset') or dataset.get('datasets')
            if inner is None:
                yield dataset
            else:
                pending += inner if isinstance(inner, list) else [inner]
