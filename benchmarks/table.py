"""Tables of the results, for the terminal and in Markdown, and the ratios that matter."""

from typing import Any

import numpy as np
import pandas as pd

from .results import CASE, Results

MEGABYTE = 2**20
GROWTH_BASE = 512 * 512
# (title, contender, its rival): how many times as fast the contender is
SPEED_RATIOS = (
    ('default / timm', 'default', 'timm'),
    ('compiled / timm-compiled', 'compiled', 'timm-compiled'),
    ('default / reference', 'default', 'reference'),
    ('default / official', 'default', 'official'),
    ('default / swin', 'default', 'swin'),
    ('compiled / swin-compiled', 'compiled', 'swin-compiled'),
)
MEMORY_RATIOS = (
    ('memory default / timm', 'default', 'timm'),
    ('memory recompute / timm', 'recompute', 'timm'),
)


def measured(results: Results) -> pd.DataFrame:
    """Return the rows that have times."""
    frame = results.frame()
    return frame[frame.status == 'ok']


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per case and a column per ratio of medians or peaks; unmeasured ratios are left out."""
    times = frame.pivot(index=CASE, columns='contender', values='median')
    peaks = frame.pivot(index=CASE, columns='contender', values='peak_bytes')
    found = pd.DataFrame(index=times.index)
    for title, ours, other in SPEED_RATIOS:
        if {ours, other} <= set(times):
            found[title] = times[other] / times[ours]
    if 'default' in times:
        default = times['default']
        alike = [(*case[:4], 'fp32', case[5]) for case in times.index]
        found['bf16 / fp32'] = default.reindex(alike).to_numpy() / default
        found.loc[found.index.get_level_values('dtype') == 'fp32', 'bf16 / fp32'] = np.nan
    for title, ours, other in MEMORY_RATIOS:
        if {ours, other} <= set(peaks):
            found[title] = (peaks[ours] / peaks[other]).astype(float)
    return found.dropna(how='all').dropna(axis='columns', how='all')


def growth(frame: pd.DataFrame) -> pd.DataFrame:
    """Return time and peak memory per pixel, divided by those of the same case at 512 px.

    If 512 px was not measured, the smallest size is the base; sizes below the base have no growth.
    """
    keys = [*(name for name in CASE if name != 'size'), 'contender']
    parts = []
    for _, group in frame.sort_values('pixels').groupby(keys, sort=False):
        bases = group[group.pixels == GROWTH_BASE]
        base = (bases if len(bases) else group).iloc[0]
        grown = group[group.pixels >= base.pixels]
        if len(grown) > 1:
            pixels = grown.pixels / base.pixels
            time = grown['median'] / base['median'] / pixels
            memory = (grown.peak_bytes / base.peak_bytes).astype(float) / pixels
            found = grown[[*CASE, 'contender']]
            parts.append(found.assign(**{'time / pixel': time, 'memory / pixel': memory}))
    return pd.concat(parts) if parts else pd.DataFrame()


def main_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the main table, with a row for each contender of each case."""
    table = frame[[*CASE, 'contender']].copy()
    table['ms'] = _text(frame['median'] * 1e3, '.1f')
    low, high = (_text(frame[name] * 1e3, '.1f') for name in ('lower_quartile', 'upper_quartile'))
    table['quartiles'] = low + '-' + high
    table['images/s'] = _text(frame.images_per_second, '.2f')
    table['peak MB'] = _text(frame.peak_bytes / MEGABYTE, '.1f')
    for other in ('timm', 'timm-compiled'):
        peers = frame[frame.contender == other].set_index(CASE)['median']
        times = peers.reindex(pd.MultiIndex.from_frame(frame[CASE])).to_numpy()
        table[f'x {other}'] = _text(pd.Series(times / frame['median'], frame.index), '.2f')
    table['max diff'] = _text(frame.largest_difference, '.1e')
    table['first call s'] = _text(frame.first_call, '.1f')
    return table


def missing_table(results: Results) -> pd.DataFrame:
    """Return the contenders without results and the reasons, grouped by reason."""
    frame = results.frame()
    keys = ['contender', 'status', 'reason']
    missing = frame[frame.status != 'ok']
    return missing.groupby(keys, sort=False).size().rename('cases').reset_index()


def _text(values: pd.Series, form: str) -> pd.Series:
    values = values.astype(float)
    return values.map(lambda value: '' if np.isnan(value) else format(value, form)).astype(object)


# ---------------------------------------------------------------------- text


def text_table(table: pd.DataFrame) -> str:
    """Return an aligned table."""
    return table.to_string(index=False, na_rep='', float_format='{:.2f}'.format)


def markdown_table(table: pd.DataFrame) -> str:
    """Return a Markdown table; pandas' own function would need another package."""
    cells = [list(table.columns), ['---'] * table.shape[1]]
    for row in table.itertuples(index=False):
        cells.append([_markdown_cell(value) for value in row])
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in cells)


def _markdown_cell(value: Any) -> str:
    if isinstance(value, float):
        return '' if np.isnan(value) else f'{value:.2f}'
    return str(value).replace('|', '/')


def report(results: Results, markdown: bool = False) -> str:
    """Return all tables, and the environment in which they were measured."""
    if not results.rows:
        return environment_text(results.environment) + '\n'
    show = markdown_table if markdown else text_table
    frame, missing = measured(results), missing_table(results)
    parts = [environment_text(results.environment)]
    if len(frame):
        parts.append(show(main_table(frame)))
    if len(missing):
        parts += ['Not measured:', show(missing)]
    if len(frame) and len(found := ratios(frame)):
        parts += ['Ratios of medians (speed: how many times as fast; memory: over the other):']
        parts.append(show(found.reset_index()))
    if len(frame) and len(grown := growth(frame)):
        parts += ['Growth: time and peak memory per pixel, over 512 px or else the smallest size:']
        parts.append(show(grown))
    return '\n\n'.join(parts) + '\n'


def environment_text(found: dict[str, Any]) -> str:
    """Return two sentences about the origin of the numbers."""
    place = found.get('gpu') or found['cpu']
    packages = ', '.join(f'{k} {v}' for k, v in found['packages'].items() if v)
    return (
        f'Measured {found["date"]} on {place} ({found["device"]}), {found["threads"]} threads of '
        f'{found["cores"]} cores, PyTorch {found["torch"]}, {packages}; allocator: {found["allocator"]}. '
        f'Command: `{found["command"]}`. Peak MB is memory above weights and images, during one step.'
    )
