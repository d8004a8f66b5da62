"""Settings that many places of a config repeat: crop_size, num_classes, classes...; each is set once."""

import ast
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mmengine.config import Config

from mmcoat.errors import UsageError

from . import own_data
from .walk import datasets, dicts

LINES = 400  # maximal number of lines of a value
WEIGHTS = 'class_weight'  # set after all others
VARIABLES = ('crop_size', 'num_classes', 'data_root', *own_data.NAMES)


def apply_from_file(cfg: Config, path: str) -> None:
    """Copy the variables at the top of config files to every place that still has an older value.

    A place that a file sets to its own value keeps that value. ``classes`` at the top, or ``metainfo``
    (classes, palette), are copied to every data set, and their number to every head.

    Raises:
        UsageError: An inheriting file sets a variable that nothing reads, or values do not fit together.
    """
    own = Path(path).read_text()
    _apply_metainfo(cfg, own)
    stated = {name for name in VARIABLES if _assigned(name, own)}

    def carry(name: str) -> None:
        if cfg.get(name) is None:
            return
        found = set_variable(cfg, name, cfg[name], _assigned(name, cfg.text) or None)
        # a file without bases, such as a dump, sets every place itself
        if not found and '_base_' in own and name in stated:
            raise unread(name, path)

    for name in VARIABLES:
        carry(name)
    _fit(cfg, stated, [len(v) for v in _assigned('classes', cfg.text)])
    carry(WEIGHTS)  # last, because their number is compared with that of the classes
    own_data.check_weights(cfg)


def apply_options(cfg: Config, options: dict[str, Any], path: str) -> None:
    """Remove the variables from ``options``, and set each in every place.

    Raises:
        UsageError: Nothing reads one of them, or values do not fit together.
    """
    given = {name for name in VARIABLES if name in options}
    before = [len(cfg.classes)] if cfg.get('classes') else []
    weights = options.pop(WEIGHTS, None)
    if weights is not None:
        set_variable(cfg, WEIGHTS, None)  # the old weights may not fit
    for name in VARIABLES:
        if name in options and not set_variable(cfg, name, options.pop(name)):
            raise unread(name, path)
    if given or weights is not None:
        _fit(cfg, given, before)
    if weights is not None and not set_variable(cfg, WEIGHTS, weights):
        raise unread(WEIGHTS, path)
    own_data.check_weights(cfg)


def _apply_metainfo(cfg: Config, own: str) -> None:
    if cfg.get('metainfo') is None:
        return
    if _assigned('classes', own):
        if re.search(r'^metainfo\s*=', own, re.MULTILINE):
            raise UsageError('set classes and palette, or metainfo, not both')
        return  # a file that inherits from one with metainfo
    for dataset in datasets(cfg):
        dataset.metainfo = cfg.metainfo
    for name in ('classes', 'palette'):
        if cfg.metainfo.get(name) is not None:
            cfg[name] = cfg.metainfo[name]


def _fit(cfg: Config, stated: set[str], old_counts: list[int]) -> None:
    """Adapt values that depend on each other: classes, heads and colours; channels and loading."""
    own_data.evaluate_ann_files(cfg)
    own_data.fit_channels(cfg)
    own_data.fit_zero_label(cfg)
    if not cfg.get('classes'):
        return
    count = len(cfg.classes)
    if 'num_classes' in stated and cfg.num_classes != count:
        raise UsageError(
            f'num_classes={cfg.num_classes}, but there are {count} classes: {", ".join(cfg.classes)}'
        )
    own_data.fit_palette(cfg, given='palette' in stated)
    set_variable(cfg, 'num_classes', count, _assigned('num_classes', cfg.text) + old_counts)
    own_data.check_counts(cfg)


def set_variable(cfg: Config, name: str, value: Any, old: list | None = None) -> int:
    """Set a variable at the top and in every place; with ``old``, only in places with one of these values.

    Returns:
        The number of places that have the new value.
    """
    value = _checked(name, value)
    before = [] if old is None else [*old, value]
    before += [cfg[name]] if name in cfg else []
    before = [*own_data.STATED.get(name, ()), *(_plain(v) for v in before)]
    if name == WEIGHTS or name in own_data.NAMES:
        count = _set_places(cfg, name, value, before, old is None)
    else:
        setter: Any = {
            'crop_size': _set_crop_size,
            'num_classes': _set_num_classes,
            'data_root': _set_data_root,
        }[name]
        count = setter(cfg, value, before, old is None)
    if count:
        cfg[name] = value
    return count


def unread(name: str, path: str) -> UsageError:
    """Return the error for a variable that no part of a config reads."""
    return UsageError(
        f'{name}: nothing in {path} reads it; set the part that you mean by its own key'
    )


def move_paths(node: Any, old: list[str], new: str) -> None:
    """Move every path inside ``node`` that is under one of the ``old`` roots to ``new``."""
    for part in dicts(node):
        for key, value in part.items():
            if not isinstance(value, str):
                continue
            parts = PurePosixPath(value).parts
            for root in old:
                top = PurePosixPath(root).parts
                if top and parts[: len(top)] == top:
                    part[key] = os.path.join(new, *parts[len(top) :])
                    break


def _assigned(name: str, text: str) -> list:
    """Return the values that config files assign to a variable at their top."""
    values = []
    for match in re.finditer(rf'^{name}\s*=(?!=)', text, re.MULTILINE):
        lines = text[match.end() :].split('\n', LINES)[:LINES]
        for count in range(1, len(lines) + 1):
            try:
                values.append(ast.literal_eval('\n'.join(lines[:count]).strip()))
            except SyntaxError:
                continue  # the value continues in the next line
            except ValueError:
                pass  # an expression: its places keep the values from the file
            break
    return values


def _checked(name: str, value: Any) -> Any:
    """Return the value in the form used in configs, or raise UsageError."""
    if name == WEIGHTS or name in own_data.NAMES:
        return own_data.checked(name, value)
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


def _set_places(cfg: Config, name: str, new: Any, before: list, everywhere: bool) -> int:
    count = 0
    for node, key in own_data.places(cfg, name):
        if everywhere or node.get(key) is None or _plain(node[key]) in before:
            node[key] = new
            count += 1
    return count


def _set_crop_size(cfg: Config, new: tuple, before: list, everywhere: bool) -> int:
    count = 0
    for part in dicts(cfg._cfg_dict):
        key = _crop_key(part)
        if key is None:
            continue
        present = _plain(part[key])
        # a scale is a crop's size only if the recipe gives both the same value
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
    """Return the key under which a part of a config has the crop size, if it has one."""
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
    for part in list(dicts(cfg.get('model'))):
        for key in ('num_classes', 'num_things_classes'):
            if key in part and (everywhere or part[key] in before):
                _fit_class_weights(part, part[key], new)
                part[key] = new
                count += 1
    return count


def _fit_class_weights(head: dict, old: int, new: int) -> None:
    """Lengthen or shorten the weights of a head's losses; the last one is that of 'no object'."""
    if old == new:
        return
    for loss in dicts(head):
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
