"""Pictures of the results: time and memory of all contenders, and the ratios to the peers."""

from pathlib import Path

import matplotlib
import pandas as pd

from .results import Results
from .table import MEGABYTE, measured, ratios

matplotlib.use('Agg')
import matplotlib.pyplot as plt

PICTURES = ('latency_*.png', 'memory_*.png', 'ratios_*.png')
GROUP = ['model', 'mode', 'dtype', 'batch']
VALUES = {'latency': 'time per step (ms)', 'memory': 'peak memory of a step (MB)'}


def draw(results: Results, out: Path) -> list[Path]:
    """Draw all pictures of the results, replacing those in ``out``, and return their paths."""
    for pattern in PICTURES:  # of an earlier run
        for path in out.glob(pattern):
            path.unlink()
    frame, paths = measured(results) if results.rows else (), []
    if not len(frame):
        return paths
    frame = frame.assign(
        latency=frame['median'] * 1e3, memory=frame.peak_bytes.astype(float) / MEGABYTE
    )
    for key, group in frame.groupby(GROUP, sort=False):
        name = '{}_{}_{}_batch{}'.format(*key)
        for value in VALUES:
            if group[value].notna().any():
                paths.append(_draw_group(group, value, out / f'{value}_{name}.png'))
    for key, group in ratios(frame).groupby(['model', 'mode', 'dtype'], sort=False):
        paths.append(_draw_ratios(group, out / f'ratios_{"_".join(key)}.png'))
    return paths


def _draw_group(group: pd.DataFrame, value: str, path: Path) -> Path:
    """Draw a panel for each arch: lines over sizes, or bars where there is one size."""
    archs = list(group.arch.unique())
    figure, axes = plt.subplots(
        len(archs), figsize=(8, 3.2 * len(archs)), squeeze=False, layout='constrained'
    )
    for axis, arch in zip(axes.flat, archs, strict=True):
        own = group[group.arch == arch]
        table = own.pivot(index='pixels', columns='contender', values=value)
        if len(table) > 1:
            table.plot(ax=axis, marker='o', loglog=True, grid=True, ylabel=VALUES[value])
            sizes = own.drop_duplicates('pixels')
            axis.set_xticks(list(sizes.pixels), list(sizes['size']))
            axis.set(title=arch, xlabel='image size (pixels)')
            axis.minorticks_off()
        else:
            bars = table.iloc[0].plot.barh(ax=axis, title=f'{arch}, {own["size"].iloc[0]} px')
            bars.bar_label(bars.containers[0], fmt='%.4g', padding=3)
            axis.set(xlabel=VALUES[value], ylabel='')
    return _save(figure, path)


def _draw_ratios(found: pd.DataFrame, path: Path) -> Path:
    """Draw a bar for each ratio of each case."""
    found = found.dropna(axis='columns', how='all')
    found = found.set_axis([f'{a}, {s} px, batch {b}' for a, s, b in _labels(found)])
    size = 8, 1.5 + 0.25 * found.size
    axis = found.plot.barh(figsize=size, xlabel='speed: more is better; memory: less is better')
    axis.axvline(1.0, color='black', linewidth=1)
    axis.figure.set_layout_engine('constrained')
    return _save(axis.figure, path)


def _labels(found: pd.DataFrame) -> list[tuple]:
    index = found.index.to_frame()
    return list(index[['arch', 'size', 'batch']].itertuples(index=False, name=None))


def _save(figure: plt.Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
