"""Tables of the results, for the terminal and in Markdown, and the ratios that matter."""

from typing import Any

import numpy as np
import pandas as pd

from .results import CASE, Results

MEGABYTE = 2**20
GROWTH_BASE = 512 * 512
FP32 = 'default in fp32'
# (title, column, contender over which other): of times, how many times as fast the other is
RATIOS = (
    ('default / timm', 'median', 'timm', 'default'),
    ('compiled / timm-compiled', 'median', 'timm-compiled', 'compiled'),
    ('default / reference', 'median', 'reference', 'default'),
    ('default / official', 'median', 'official', 'default'),
    ('default / swin', 'median', 'swin', 'default'),
    ('compiled / swin-compiled', 'median', 'swin-compiled', 'compiled'),
    ('bf16 / fp32', 'median', FP32, 'default'),
    ('memory default / timm', 'peak_bytes', 'default', 'timm'),
    ('memory recompute / timm', 'peak_bytes', 'recompute', 'timm'),
)


def measured(results: Results) -> pd.DataFrame:
    """Return the rows that have times."""
    frame = results.frame()
    return frame[frame.status == 'ok']


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per case and a column per ratio of medians or peaks; unmeasured ratios are left out."""
    table = frame.pivot(index=CASE, columns='contender', values=['median', 'peak_bytes'])
    if ('median', 'default') in table:
        default = table['median', 'default']
        in_fp32 = default.reindex([(*case[:4], 'fp32', case[5]) for case in table.index])
        is_fp32 = table.index.get_level_values('dtype') == 'fp32'
        table['median', FP32] = np.where(is_fp32, np.nan, in_fp32)
    found = {
        title: table[column, over] / table[column, under]
        for title, column, over, under in RATIOS
        if (column, over) in table and (column, under) in table
    }
    columns = pd.DataFrame(found, index=table.index)
    return columns.dropna(how='all').dropna(axis='columns', how='all')


def growth(frame: pd.DataFrame) -> pd.DataFrame:
    """Return time and peak memory per pixel, divided by those of the same case at 512 px.

    If 512 px was not measured, the smallest size is the base; sizes below the base have no growth.
    """
    keys = [*(name for name in CASE if name != 'size'), 'contender']
    parts = []
    for _, group in frame.sort_values('pixels').groupby(keys, sort=False):
        base = group.iloc[(group.pixels == GROWTH_BASE).argmax()]  # the first where none is equal
        grown = group[group.pixels >= base.pixels]
        if len(grown) > 1:
            values = grown[['median', 'peak_bytes']] / base[['median', 'peak_bytes']].astype(float)
            values = values.div(grown.pixels / base.pixels, axis='index')
            values.columns = ['time / pixel', 'memory / pixel']
            parts.append(grown[[*CASE, 'contender']].join(values))
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
        table[f'x {other}'] = _text(times / frame['median'], '.2f')
    table['max diff'] = _text(frame.largest_difference, '.1e')
    table['first call s'] = _text(frame.first_call, '.1f')
    return table


def _text(values: pd.Series, form: str) -> pd.Series:
    texts = values.astype(float).map(lambda value: '' if np.isnan(value) else format(value, form))
    return texts.astype(object)


def text_table(table: pd.DataFrame) -> str:
    """Return an aligned table."""
    return table.to_string(index=False, na_rep='', float_format='{:.2f}'.format)


def markdown_table(table: pd.DataFrame) -> str:
    """Return a Markdown table; pandas' own function would need another package."""
    cells = [list(table.columns), ['---'] * table.shape[1]]
    cells += [[_markdown_cell(value) for value in row] for row in table.itertuples(index=False)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in cells)


def _markdown_cell(value: Any) -> str:
    if isinstance(value, float):
        return '' if np.isnan(value) else f'{value:.2f}'
    return str(value).replace('|', '/')


def report(results: Results, markdown: bool = False) -> str:
    """Return all tables, and the environment in which they were measured."""
    show = markdown_table if markdown else text_table
    frame, parts = results.frame(), [environment_text(results.environment)]
    good, missing = frame[frame.status == 'ok'], frame[frame.status != 'ok']
    if len(good):
        parts.append(show(main_table(good)))
    if len(missing):
        reasons = missing.groupby(['contender', 'status', 'reason'], sort=False).size()
        parts += ['Not measured:', show(reasons.rename('cases').reset_index())]
    if len(good) and len(found := ratios(good)):
        parts += ['Ratios of medians (speed: how many times as fast; memory: over the other):']
        parts.append(show(found.reset_index()))
    if len(good) and len(grown := growth(good)):
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
