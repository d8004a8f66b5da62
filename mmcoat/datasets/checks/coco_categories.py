"""Compare the categories of a COCO file with the classes of a config."""

import difflib
from collections import Counter
from typing import Any

from .findings import Findings


def check_categories(
    entries: list[Any], annotations: list[dict], classes: tuple[str, ...], found: Findings
) -> dict[Any, str]:
    """Check the categories, and which of them MMDetection uses.

    Args:
        entries: The file's categories.
        annotations: Its annotations, which have all keys.
        classes: The config's classes, in order.
        found: Where findings go.

    Returns:
        The names of the file's categories by their ids.
    """
    names = _names(entries, found)
    used = Counter(entry['category_id'] for entry in annotations)
    for entry in annotations:
        if entry['category_id'] not in names:
            if found.count('category_keys'):
                break  # already reported
            number = f'category_id {entry["category_id"]!r}'
            found.add('unknown_category', f'annotation {entry["id"]}', number)
    if classes:
        _compare(names, used, classes, found)
    return names


def _names(entries: list[Any], found: Findings) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for index, entry in enumerate(entries):
        sound = isinstance(entry, dict) and isinstance(entry.get('name'), str)
        if not sound or not isinstance(entry.get('id'), int | str):
            found.add('category_keys', f'category number {index}', repr(entry)[:60])
        elif entry['id'] in names:
            found.add('repeated_category', f'id {entry["id"]}', entry['name'])
        elif entry['name'] in names.values():
            found.add('repeated_category', f'name {entry["name"]!r}', f'id {entry["id"]}')
        else:
            names[entry['id']] = entry['name']
    return names


def _compare(
    names: dict[Any, str], used: Counter, classes: tuple[str, ...], found: Findings
) -> None:
    present = list(names.values())
    for name in classes:
        if name not in present:
            near = _nearest(name, [p for p in present if p not in classes])
            found.add('missing_class', name, f'the file has {near!r}' if near else '')
    for number, name in names.items():
        if name not in classes and used[number]:
            found.add('ignored_category', name, f'{used[number]} annotations')
    # MMDetection uses them in the file's order
    taken = [name for name in present if name in classes]
    wanted = [name for name in classes if name in taken]
    if taken != wanted:
        at = next(
            i for i, (one, other) in enumerate(zip(taken, wanted, strict=True)) if one != other
        )
        found.add(
            'class_order', f'class {at} is {wanted[at]!r} in the config, {taken[at]!r} in the file'
        )


def _nearest(name: str, others: list[str]) -> str | None:
    folded = {other.lower(): other for other in others}
    near = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.7)
    return folded[near[0]] if near else None
