"""Figures of training curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmcoat.errors import UsageError

from .logs import Curve, Run

ENDINGS = ('.png', '.jpg', '.svg', '.pdf')


def draw(runs: Sequence[Run], keys: Sequence[str], weight: float | None) -> Figure:
    """Return a figure with a panel per key: the smoothed values over the logged ones, which are pale."""
    columns = min(len(keys), 3)
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.1 * rows + 0.4), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for key, panel in zip(keys, panels, strict=False):
        for index, run in enumerate(runs):
            if key in run.curves:
                _draw_curve(panel, run.curves[key], weight, f'C{index % 10}', run.name)
        panel.set_title(key, fontsize=10)
        panel.set_xlabel('iteration', fontsize=8)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8)
    for panel in list(figure.axes)[len(keys) :]:
        panel.axis('off')
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    named = {run.name: lines[run.name] for run in runs if run.name in lines}
    figure.legend(
        named.values(), named.keys(), loc='outside lower center', fontsize=8, ncols=2, frameon=False
    )
    return figure


def _draw_curve(panel: Any, curve: Curve, weight: float | None, colour: str, name: str) -> None:
    if curve.validation:
        panel.plot(curve.steps, curve.values, color=colour, marker='o', ms=3.5, lw=1.2, label=name)
        return
    smoothed = curve.smoothed(weight)
    if not np.array_equal(smoothed, curve.values, equal_nan=True):
        panel.plot(curve.steps, curve.values, color=colour, alpha=0.3, lw=0.9, label='_raw')
    panel.plot(curve.steps, smoothed, color=colour, lw=1.7, label=name)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; missing folders are created.

    Raises:
        UsageError: The file type is not supported.
    """
    path = check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def check_ending(path: str | Path) -> Path:
    """Return a path that a figure can be written to.

    Raises:
        UsageError: The file type is not supported.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise UsageError(f'pictures end in one of {", ".join(ENDINGS)}, got {path}')
    return path
