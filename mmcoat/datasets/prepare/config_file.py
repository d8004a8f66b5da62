"""Write the config that trains on a prepared data set."""

import os
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat

from .common import Summary
from .writing import MARK

ROOT = Path(__file__).resolve().parents[3]  # root of a checkout


def write_config(
    path: Path, base: Path, out: Path, summary: Summary, segmentation: bool, balance: bool = False
) -> None:
    """Write a config that inherits from ``base`` and sets the values of the data set.

    Args:
        path: File to write.
        base: A config of this package.
        out: Folder of the data set, as it will stand in the config.
        summary: Summary of the data set.
        segmentation: True for label maps, False for COCO annotations.
        balance: Weight each class by the square root of its rarity.
    """
    lines = [
        MARK,
        f'_base_ = {_base(path, base)!r}',
        '',
        f'classes = {_shown(tuple(summary.classes))}',
        f'palette = {_shown([list(c) for c in summary.palette])}',
        f'data_root = {str(out)!r}',
    ]
    if segmentation:
        lines += ["dataset_type = 'BaseSegDataset'"]
    else:
        for split in ('train', 'val'):
            lines += [
                f"{split}_ann_file = 'annotations/{split}.json'",
                f"{split}_img_dir = '{split}'",
            ]
    lines += [f'{name} = {_shown(value)}' for name, value in summary.facts.items()]
    if balance:
        lines.append(f'class_weight = {_shown(class_weights(summary.pixels))}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')


def class_weights(pixels: Sequence[int]) -> list[float]:
    """Return class weights, the square roots of rarity, 1 on average; a class without pixels gets 1."""
    present = [count for count in pixels if count]
    roots = [(sum(present) / count) ** 0.5 if count else None for count in pixels]
    mean = sum(r for r in roots if r) / max(1, len(present))
    return [round(r / mean, 3) if r else 1.0 for r in roots]


def _base(path: Path, base: Path) -> str:
    """Return a path relative to the config if both are in one checkout, else an absolute path."""
    folder = path.resolve().parent
    if folder.is_relative_to(ROOT) and base.resolve().is_relative_to(ROOT):
        return Path(os.path.relpath(base.resolve(), folder)).as_posix()
    return str(base.resolve())


def _shown(value: object) -> str:
    return pformat(value, width=100, compact=True)
