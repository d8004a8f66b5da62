"""Iterate over parts of a config."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict


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


def type_name(part: Any) -> str:
    """Return the name of the class that a part of a config builds, without scope or package; '' if none."""
    kind = part.get('type', '') if isinstance(part, dict) else ''
    return str(getattr(kind, '__name__', kind)).rsplit('.', 1)[-1]


def dicts(node: Any) -> Iterator[dict]:
    """Yield every dict inside a config, however deep its lists are."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from dicts(child)
