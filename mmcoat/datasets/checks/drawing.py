"""Draw a report: classes and their shares, sizes of images, areas of boxes."""

from pathlib import Path
from typing import Any

import numpy as np

from .reports import Report, SetReport

MOST_CLASSES = 30
SMALL, LARGE = 32, 96  # sides that divide COCO's small, medium and large boxes


def draw(report: Report, path: str | Path) -> None:
    """Write a picture with one row for each data set that was checked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sets = [one for one in report.sets if one.kind]
    rows = max(1, len(sets))
    heights = [max(2.6, 0.19 * min(MOST_CLASSES, _present(one)) + 1) for one in sets] or [2.6]
    figure = Figure(figsize=(11, sum(heights)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 2, squeeze=False, height_ratios=heights)
    for pair, one in zip(axes, sets, strict=False):
        _draw_classes(pair[0], one)
        if one.kind == 'coco':
            _draw_areas(pair[1], one)
        else:
            _draw_sizes(pair[1], one)
    figure.savefig(path, dpi=110)


def _present(one: SetReport) -> int:
    return sum(row.amount > 0 for row in one.classes)


def _draw_classes(axis: Any, one: SetReport) -> None:
    rows = sorted((r for r in one.classes if r.amount), key=lambda row: -row.amount)
    shown = rows[:MOST_CLASSES]
    shares = [100 * row.share for row in shown]
    names = [row.name.replace('$', r'\$') for row in shown]
    bars = axis.barh(range(len(shown)), shares, color='#4477aa')
    axis.bar_label(
        bars, [f'{s:.1f}' if s >= 1 else f'{s:.1g}' for s in shares], padding=2, fontsize=7
    )
    axis.set_yticks(range(len(shown)), names, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12, y=0.01)
    what = 'boxes' if one.kind == 'coco' else 'labelled pixels'
    axis.set_xlabel(f'share of the {what}, %')
    of = f'{len(shown)} most frequent of {len(rows)}' if len(rows) > len(shown) else f'{len(rows)}'
    axis.set_title(f'{one.split}: {of} classes present, of {len(one.classes)}', fontsize=10)


def _draw_areas(axis: Any, one: SetReport) -> None:
    sides = np.sqrt(np.asarray([a for a in one.areas if a > 0], dtype=float))
    if sides.size:
        edges = np.geomspace(max(1, sides.min()), max(2, sides.max()) * 1.001, 40)
        axis.hist(sides, edges, color='#ee8866')
        axis.set_xscale('log', base=2)
        axis.xaxis.set_major_formatter('{x:g}')
    for side in (SMALL, LARGE):
        axis.axvline(side, color='0.4', linestyle='--', linewidth=1)
    counts = [int((sides < SMALL).sum()), int((sides >= LARGE).sum())]
    middle = sides.size - sum(counts)
    axis.set_xlabel('side of a box, pixels (root of its area)')
    axis.set_ylabel('boxes')
    axis.set_title(
        f'{one.split}: {counts[0]} small, {middle} medium, {counts[1]} large boxes', fontsize=10
    )


def _draw_sizes(axis: Any, one: SetReport) -> None:
    sizes, counts = np.unique(np.asarray(one.sizes or [(0, 0)]), axis=0, return_counts=True)
    area = 20 + 180 * counts / counts.max()
    axis.scatter(sizes[:, 0], sizes[:, 1], s=area, color='#ee8866', edgecolor='0.3', alpha=0.7)
    top = 1.15 * max(1, int(sizes.max()))
    axis.set(xlim=(0, top), ylim=(0, top), xlabel='width, pixels', ylabel='height, pixels')
    kinds = f'{len(sizes)} {"size" if len(sizes) == 1 else "sizes"}'
    axis.set_title(f'{one.split}: {len(one.sizes)} images opened, of {kinds}', fontsize=10)
