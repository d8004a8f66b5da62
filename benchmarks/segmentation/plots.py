"""Pictures: the score against latency and against FLOPs, and learning curves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev

import matplotlib

from .contender import SCORE, Contender

matplotlib.use('Agg')
import matplotlib.pyplot as plt

LABEL = 'mIoU of the classes present (%)'


def draw(contenders: Sequence[Contender], out: Path) -> list[Path]:
    """Draw all pictures and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    known = [c for c in contenders if c.costs and c.costs.milliseconds is not None]
    if known:
        latency = _scatter(known, lambda c: c.costs.milliseconds, 'milliseconds per image')
        flops = _scatter(known, lambda c: c.costs.macs / 1e9, 'GMACs per image')
        paths += [_save(latency, out / 'score_latency.png'), _save(flops, out / 'score_flops.png')]
    if any(curve for c in contenders for curve in c.curves):
        paths.append(_save(_curves(contenders), out / 'learning_curves.png'))
    return paths


def _scatter(
    contenders: Sequence[Contender], x: Callable[[Contender], float], label: str
) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(6.5, 4.5), layout='constrained')
    for c in contenders:
        values = [found[SCORE] for found in c.scores]
        error = stdev(values) if len(values) > 1 else 0.0
        axes.errorbar(x(c), mean(values), yerr=error, fmt='o', capsize=3, label=c.name)
    axes.set(xlabel=label, ylabel=LABEL)
    axes.set_xlim(0, 1.1 * max(map(x, contenders)))
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small')
    return figure


def _curves(contenders: Sequence[Contender]) -> plt.Figure:
    """Draw the mean over seeds, and a band from the lowest to the highest."""
    figure, axes = plt.subplots(figsize=(6.5, 4.5), layout='constrained')
    for c in contenders:
        points: dict[int, list[float]] = {}
        for curve in c.curves:
            for step, score in curve:
                points.setdefault(step, []).append(score)
        steps = sorted(points)
        (line,) = axes.plot(steps, [mean(points[s]) for s in steps], marker='.', label=c.name)
        low, high = ([f(points[s]) for s in steps] for f in (min, max))
        axes.fill_between(steps, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    axes.set(xlabel='iterations', ylabel=LABEL)
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small')
    return figure


def _save(figure: plt.Figure, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
