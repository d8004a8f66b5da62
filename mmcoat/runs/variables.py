"""Settings that many places of a config repeat: crop_size, num_classes, data_root; each is set once."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mmengine.config import Config, ConfigDict

from mmcoat.errors import UsageError

VARIABLES = ('crop_size', 'num_classes', 'data_root')


def apply_from_file(cfg: Config, path: str) -> None:
    """Carry the variables that config files set at their top into every place that still has an older value.

    A place that a file sets to a value of its own keeps it. ``metainfo`` (classes, palette) at the top goes
    to every data set.

    Raises:
        UsageError: A file that inherits sets a variable that nothing reads.
    """
    own = Path(path).read_text()
    for name in VARIABLES:
        if name not in cfg:
            continue
        old = _assigned(name, cfg.text)
        found = set_variable(cfg, name, cfg[name], old or None)
        # a file without bases, as dumps are, says itself what each place holds
        if not found and '_base_' in own and _assigned(name, own):
            raise unread(name, path)
    if 'metainfo' in cfg:
        for dataset in datasets(cfg):
            dataset.metainfo = cfg.metainfo


def set_variable(cfg: Config, name: str, value: Any, old: list | None = None) -> int:
    """Set a variable at the top and in every place; with ``old``, only where one of these values stands.

    Returns:
        The number of places that have the new value.
    """
    value = _checked(name, value)
    setter: Any = {
        'crop_size': _set_crop_size,
        'num_classes': _set_num_classes,
        'data_root': _set_data_root,
    }[name]
    before = [] if old is None else [*old, value]
    before += [cfg[name]] if name in cfg else []
    count = setter(cfg, value, [_plain(v) for v in before], old is None)
    if count:
        cfg[name] = value
    return count


def unread(name: str, path: str) -> UsageError:
    """Return the error for a variable that no part of a config reads."""
    return UsageError(
        f'{name}: nothing in {path} reads it; set the part that you mean by its own key'
    )


def move_paths(node: Any, old: list[str], new: str) -> None:
    """Let every path inside ``node`` that lies under one of the ``old`` roots lie under ``new``."""
    for part in _dicts(node):
        for key, value in part.items():
            if not isinstance(value, str):
                continue
            parts = PurePosixPath(value).parts
            for root in old:
                top = PurePosixPath(root).parts
                if top and parts[: len(top)] == top:
                    part[key] = os.path.join(new, *parts[len(top) :])
                    break


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


def _assigned(name: str, text: str) -> list:
    """Return the values that are assigned to a variable at the top of config files."""
    values = []
    for line in re.findall(rf'^{name}\s*=\s*([^#\n]+)', text, re.MULTILINE):
        try:
            values.append(ast.literal_eval(line.strip()))
        except (ValueError, SyntaxError):
            continue  # an expression: its places stay as the file made them
    return values


def _checked(name: str, value: Any) -> Any:
    """Return the value in the form that configs have, or raise UsageError."""
    if name == 'num_classes':
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f'num_classes must be an integer of at least 1, got {value!r}')
        return value
    if name == 'data_root':
        if not isinstance(value, str):
            raise UsageError(f'data_root must be a path, got {value!r}')
        return value
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise UsageError(f'crop_size must be "(height,width)", got {value!r}')
    if not all(isinstance(side, int) and side > 0 for side in pair):
        raise UsageError(f'crop_size must be two positive integers, got {value!r}')
    return tuple(pair)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _dicts(node: Any) -> Iterator[dict]:
    """Yield every dict inside a config, however deep its lists are."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _dicts(child)


def _set_crop_size(cfg: Config, new: tuple, before: list, everywhere: bool) -> int:
    count = 0
    for part in _dicts(cfg._cfg_dict):
        key = _crop_key(part)
        if key is None:
            continue
        present = _plain(part[key])
        # a scale is a crop's size only where the recipe says so by giving both the same value
        if present not in before and not (everywhere and part.get('type') != 'RandomResize'):
            continue
        if 'stride' in part and isinstance(present, tuple):
            steps = (
                part['stride'] if isinstance(part['stride'], list | tuple) else [part['stride']] * 2
            )
            part['stride'] = tuple(
                max(1, round(step * side / was))
                for step, side, was in zip(steps, new, present, strict=True)
            )
        part[key] = new
        count += 1
    return count


def _crop_key(part: dict) -> str | None:
    """Return under which key a part of a config holds the crop's size, if it does."""
    kind = str(part.get('type', '')).split('.')[-1]
    if kind == 'RandomCrop' and part.get('crop_type', 'absolute') == 'absolute':
        return 'crop_size' if 'crop_size' in part else None
    if part.get('mode') == 'slide' and 'crop_size' in part:
        return 'crop_size'
    if kind in ('SegDataPreProcessor', 'BatchFixedSizePad') and part.get('size'):
        return 'size'
    return 'scale' if kind == 'RandomResize' and 'scale' in part else None


def _set_num_classes(cfg: Config, new: int, before: list, everywhere: bool) -> int:
    count = 0
    for part in list(_dicts(cfg.get('model'))):
        for key in ('num_classes', 'num_things_classes'):
            if key in part and (everywhere or part[key] in before):
                _fit_class_weights(part, part[key], new)
                part[key] = new
                count += 1
    return count


def _fit_class_weights(head: dict, old: int, new: int) -> None:
    """Lengthen or shorten the weights of a head's losses, whose last one is that of 'no object'."""
    if old == new:
        return
    for loss in _dicts(head):
        weights = loss.get('class_weight')
        if not isinstance(weights, list | tuple) or len(weights) not in (old, old + 1):
            continue
        if len(set(weights[:old])) > 1:
            raise UsageError(
                f'num_classes={new}: class_weight holds {len(weights)} weights, each chosen for a class; '
                'set class_weight too'
            )
        loss['class_weight'] = [weights[0]] * new + list(weights[old:])


def _set_data_root(cfg: Config, new: str, before: list, everywhere: bool) -> int:
    roots, count = list(before), 0
    for dataset in datasets(cfg):
        if 'data_root' in dataset and (everywhere or dataset.data_root in before):
            roots.append(dataset.data_root)
            dataset.data_root = new
            count += 1
    roots = [root for root in roots if isinstance(root, str) and root != new]
    for name in ('val_evaluator', 'test_evaluator'):
        move_paths(cfg.get(name), roots, new)
    return count
