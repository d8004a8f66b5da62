"""A confusion matrix as tables for the terminal and as a picture."""

from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from .confusion import Confusion

MOST_NUMBERS = 20  # classes up to which each cell has its number
TICKS = ['0', '1 %', '10 %', '30 %', '60 %', '100 %']
LABELS = dict(truth='share of the true class', prediction='share of what was called so')


def tables(confusion: Confusion, most: int = 10) -> Group:
    """Return the classes, the worst first, and the pairs that are confused most."""
    names = ', '.join(f'{key} {value:.2f}' for key, value in confusion.summary().items())
    absent = int(np.isnan(confusion.iou()).sum())
    left = f'; {absent} classes in neither truth nor prediction' if absent else ''
    images = f'{confusion.images} image{"s" * (confusion.images != 1)}'
    caption = f'{names} over {images}{left}'
    return Group(_classes(confusion), caption, '', _pairs(confusion, most))


def _classes(confusion: Confusion) -> Table:
    table = Table(title='Classes, the worst first', title_justify='left')
    table.add_column('class', overflow='fold')
    for name in ('IoU', 'accuracy', 'precision', 'pixels'):
        table.add_column(name, justify='right')
    table.add_column('taken most often for', overflow='fold')
    iou, sums = confusion.iou(), confusion.matrix.sum(1)
    scores = iou, confusion.accuracy(), confusion.precision()
    for i in np.argsort(iou, kind='stable'):
        if np.isnan(iou[i]):
            continue
        row = confusion.matrix[i].copy()
        row[i] = 0
        other = int(row.argmax())
        most = f'{confusion.classes[other]} {row[other] / sums[i]:.1%}' if row[other] else ''
        shown = [_percent(values[i]) for values in scores]
        table.add_row(escape(confusion.classes[i]), *shown, f'{sums[i]:,}', escape(most))
    return table


def _pairs(confusion: Confusion, most: int) -> Any:
    pairs = confusion.confusions(most)
    if not pairs:
        return 'No pixel is confused.'
    table = Table(title='What is confused most', title_justify='left')
    table.add_column('truth', overflow='fold')
    table.add_column('taken for', overflow='fold')
    table.add_column('pixels', justify='right')
    table.add_column('of the class', justify='right')
    for pair in pairs:
        names = escape(pair.truth), escape(pair.prediction)
        table.add_row(*names, f'{pair.pixels:,}', f'{pair.share:.1%}')
    return table


def _percent(value: float) -> str:
    return '-' if np.isnan(value) else f'{100 * value:.2f}'


def draw(confusion: Confusion, by: str = 'truth') -> Figure:
    """Return a figure of the normalised matrix, without classes in neither truth nor prediction.

    Args:
        confusion: The counts.
        by: ``'truth'``: rows add up to 1; ``'prediction'``: columns do.
    """
    kept = np.flatnonzero(confusion.matrix.sum(0) + confusion.matrix.sum(1))
    shares = confusion.normalized(by)[np.ix_(kept, kept)]
    names = [confusion.classes[i] for i in kept]
    few = len(names) <= MOST_NUMBERS
    side = max(2.6, len(names) * (0.5 if few else 0.15))  # inches; 0.15 a row: what 7 points need
    room = (0.08 if few else 0.06) * max(map(len, names), default=1) + 0.5  # names beside it
    figure = Figure(figsize=(side + room + 1.1, side + room + 0.5), layout='constrained')
    panel = figure.subplots()
    # the root: a confusion of one percent is seen, too
    shown = panel.imshow(shares, cmap='Blues', norm=PowerNorm(0.5, 0, 1))
    size = 9 if few else 7
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    panel.set_yticks(range(len(names)), names, fontsize=size)
    panel.set_xlabel('prediction')
    panel.set_ylabel('truth')
    panel.set_title(_title(confusion, len(names)), fontsize=10)
    if few:
        _write_numbers(panel, shares)
    bar = figure.colorbar(shown, ax=panel, shrink=0.8, aspect=5 * side, fraction=0.4 / side)
    bar.set_ticks([0, 0.01, 0.1, 0.3, 0.6, 1], labels=TICKS, fontsize=8)
    bar.set_label(LABELS[by], fontsize=8)
    return figure


def _title(confusion: Confusion, shown: int) -> str:
    left = len(confusion.classes) - shown
    note = f'\n{left} that do not occur are left out' if left else ''
    images = f'{confusion.images} image{"s" * (confusion.images != 1)}'
    return f'mIoU {confusion.summary()["mIoU"]:.2f}, {images}, {shown} classes{note}'


def _write_numbers(panel: Any, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.0005:
            ink = 'white' if share > 0.3 else 'black'
            text = f'{100 * share:.1f}'
            panel.text(column, row, text, ha='center', va='center', fontsize=7, color=ink)
