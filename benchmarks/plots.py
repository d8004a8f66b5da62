"""Pictures of the results: time and memory of all contenders, and the ratios to the peers."""

from pathlib import Path

import matplotlib
import pandas as pd

from .results import Results
from .table import MEGABYTE, measured, ratios

matplotlib.use('Agg')
import matplotlib.pyplot as plt

GROUP = ['model', 'mode', 'dtype', 'batch']
VALUES = {'latency': 'time per step (ms)', 'memory': 'peak memory of a step (MB)'}


def draw(results: Results, out: Path) -> list[Path]:
    """Draw all pictures of the results, replacing those in ``out``, and return their paths."""
    for kind in (*VALUES, 'ratios'):  # of an earlier run
        for path in out.glob(f'{kind}_*.png'):
            path.unlink()
    frame, paths = measured(results), []
    if not len(frame):
        return paths
    frame = frame.assign(latency=frame['median'] * 1e3, memory=frame.peak_bytes / MEGABYTE)
    for key, group in frame.groupby(GROUP, sort=False):
        for value in VALUES:
            if group[value].notna().any():
                paths.append(out / '{}_{}_{}_{}_batch{}.png'.format(value, *key))
                _draw_group(group, value, paths[-1])
    for key, group in ratios(frame).groupby(['model', 'mode', 'dtype'], sort=False):
        paths.append(out / f'ratios_{"_".join(key)}.png')
        _draw_ratios(group, paths[-1])
    return paths


def _draw_group(group: pd.DataFrame, value: str, path: Path) -> None:
    """Draw a panel for each arch: lines over sizes, or bars where there is one size."""
    archs = group.groupby('arch', sort=False)
    size = (8, 3.2 * len(archs))
    figure, axes = plt.subplots(len(archs), figsize=size, squeeze=False, layout='constrained')
    for axis, (arch, own) in zip(axes.flat, archs, strict=True):
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
    _save(figure, path)


def _draw_ratios(found: pd.DataFrame, path: Path) -> None:
    """Draw a bar for each ratio of each case."""
    found = found.dropna(axis='columns', how='all')
    cases = found.index.to_frame()[['arch', 'size', 'batch']].itertuples(index=False)
    found = found.set_axis([f'{arch}, {size} px, batch {batch}' for arch, size, batch in cases])
    size = 8, 1.5 + 0.25 * found.size
    axis = found.plot.barh(figsize=size, xlabel='speed: more is better; memory: less is better')
    axis.axvline(1.0, color='black', linewidth=1)
    axis.figure.set_layout_engine('constrained')
    _save(axis.figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
