"""Pictures of the results: time and memory against size, ratios to the peers, growth per pixel."""

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib

from .cases import Case, size_text
from .results import Results, Row
from .table import MEGABYTE, growth, memory_ratio, speed_ratio

matplotlib.use('Agg')
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

# Eager contenders have solid lines and full bars; compiled ones the same colour, dashed and hatched.
COLOURS = {
    'default': '#1f5fa8',
    'fused': '#0b8457',
    'recompute': '#7b52ab',
    'plain': '#4fb3bf',
    'reference': '#8fb8de',
    'timm': '#e07b00',
    'official': '#b5382a',
    'swin': '#7f7f7f',
}
MARKERS = dict(zip(COLOURS, 'osD^vPXd', strict=True))
PANELS = 4  # in a row
PICTURES = ('latency_*.png', 'memory_*.png', 'speed_ratios_*.png', 'growth_*.png')
CASES = 12  # below each other in a picture of ratios
# (title, (ours, other), whether it is memory)
BARS = (
    ('default over timm', ('default', 'timm'), False),
    ('compiled over timm-compiled', ('compiled', 'timm-compiled'), False),
    ('fused over timm', ('fused', 'timm'), False),
    ('default over swin', ('default', 'swin'), False),
    ('compiled over swin-compiled', ('compiled', 'swin-compiled'), False),
    ('default over timm', ('default', 'timm'), True),
    ('recompute over timm', ('recompute', 'timm'), True),
)
BAR_COLOURS = ('#1f5fa8', '#8fb8de', '#0b8457', '#7f7f7f', '#c7c7c7', '#1f5fa8', '#7b52ab')
Value = Callable[[Row], float | None]
Series = tuple[str, str, dict[Case, float]]  # title, colour, ratios


def draw(results: Results, out: Path) -> list[Path]:
    """Draw all pictures that the results give instead of those in ``out``, and return their paths."""
    values: tuple[tuple[str, str, Value], ...] = (
        ('latency', 'time per step (ms)', lambda row: row.median * 1e3),
        ('memory', 'peak memory of a step (MB)', _megabytes),
    )
    for pattern in PICTURES:  # of an earlier run
        for path in out.glob(pattern):
            path.unlink()
    paths = []
    for group, rows in _groups(results.rows).items():
        for name, label, value in values:
            rows_with = [row for row in rows if value(row) is not None]
            if rows_with:
                path = out / f'{name}_{"_".join(map(str, group))}.png'
                paths.append(_draw_group(rows_with, group, label, value, path))
    for is_memory in (False, True):
        paths += _draw_ratios(results, is_memory, out)
    paths += _draw_growth(results, out)
    return paths


def _megabytes(row: Row) -> float | None:
    return None if row.peak_bytes is None else row.peak_bytes / MEGABYTE


def _groups(rows: Iterable[Row]) -> dict[tuple, list[Row]]:
    """Return the measured rows by model, mode, dtype and batch, CUDA graphs apart: a picture each."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.status == 'ok':
            case = row.case
            graphs = '_graphs' if row.contender.endswith('-graph') else ''
            key = (case.model, case.mode, case.dtype, f'batch{case.batch}{graphs}')
            groups.setdefault(key, []).append(row)
    return groups


def _family(contender: str) -> str:
    name = contender.removesuffix('-graph').removesuffix('-compiled')
    return 'default' if name == 'compiled' else name


def _is_compiled(contender: str) -> bool:
    return 'compiled' in contender


def _pixels(case: Case) -> int:
    return case.size[0] * case.size[1]


# ---------------------------------------------------------------------- against size


def _draw_group(rows: list[Row], group: tuple, label: str, value: Value, path: Path) -> Path:
    """Draw a panel for each arch: lines over sizes, or bars where there is one size."""
    archs = list(dict.fromkeys(row.case.arch for row in rows))
    columns = min(PANELS, len(archs))
    height = -(-len(archs) // columns)
    figure, axes = plt.subplots(
        height,
        columns,
        figsize=(max(7.0, 4.2 * columns), 3.6 * height + 0.9),
        squeeze=False,
        layout='constrained',
    )
    for axis, arch in zip(axes.flat, archs, strict=False):
        _panel(axis, [row for row in rows if row.case.arch == arch], label, value)
    for axis in axes.flat[len(archs) :]:
        axis.axis('off')
    figure.suptitle(_title(group))
    _common_legend(figure, axes)
    return _save(figure, path)


def _panel(axis: plt.Axes, rows: list[Row], label: str, value: Value) -> None:
    """Draw one arch."""
    arch = rows[0].case.arch
    if len({row.case.size for row in rows}) > 1:
        _lines(axis, rows, value)
        axis.set(title=arch, xlabel='image size (pixels)', ylabel=label)
    else:
        _bars(axis, rows, value)
        axis.set(title=f'{arch}, {size_text(rows[0].case.size)} px', xlabel=label)


def _title(group: tuple) -> str:
    *rest, batch = group
    return ', '.join([*rest, batch.replace('batch', 'batch ').replace('_graphs', ', CUDA graphs')])


def _lines(axis: plt.Axes, rows: list[Row], value: Value) -> None:
    for name in dict.fromkeys(row.contender for row in rows):
        own = sorted((r for r in rows if r.contender == name), key=lambda r: _pixels(r.case))
        axis.plot(
            [_pixels(r.case) for r in own],
            [value(r) for r in own],
            label=name,
            **_line_style(name),
        )
    _size_axis(axis, rows)
    axis.set_yscale('log')
    low, high = axis.get_ylim()
    labelled = '25' if high > 8 * low else '234567'  # of a wide range all labels would overlap
    axis.tick_params(axis='y', which='both', labelsize=8)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f'{n:g}'))  # 300, not 3 x 10^2
    axis.yaxis.set_minor_formatter(
        FuncFormatter(lambda n, _: f'{n:g}' if f'{n:e}'[0] in labelled else '')
    )


def _line_style(contender: str) -> dict:
    family = _family(contender)
    return dict(
        color=COLOURS[family],
        marker=MARKERS[family],
        linestyle='--' if _is_compiled(contender) else '-',
        markersize=5,
    )


def _size_axis(axis: plt.Axes, rows: list[Row]) -> None:
    """Scale by the number of pixels, name the ticks by height and width."""
    ticks: dict[int, str] = {}
    for size in sorted({row.case.size for row in rows}, key=lambda s: s[0] * s[1]):
        pixels, close = size[0] * size[1], [p for p in ticks if size[0] * size[1] < 1.2 * p]
        if close:  # their labels would overlap
            ticks[close[0]] += f', {size_text(size)}'
        else:
            ticks[pixels] = size_text(size)
    axis.set_xscale('log')
    axis.set_xticks(list(ticks), list(ticks.values()), rotation=25, ha='right')
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def _bars(axis: plt.Axes, rows: list[Row], value: Value) -> None:
    names = [row.contender for row in rows]
    numbers = [value(row) for row in rows]
    bars = axis.barh(
        names,
        numbers,
        color=[COLOURS[_family(name)] for name in names],
        hatch=['//' if _is_compiled(name) else '' for name in names],
        edgecolor='white',
    )
    axis.bar_label(bars, [f'{n:.4g}' for n in numbers], padding=3)
    axis.set_xlim(0, max(numbers) * 1.28)
    axis.invert_yaxis()
    axis.grid(alpha=0.3, axis='x')
    axis.set_axisbelow(True)


def _common_legend(figure: plt.Figure, axes) -> None:
    handles = {}
    for axis in axes.flat:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    if not handles:
        return
    figure.legend(
        list(handles.values()),
        list(handles),
        loc='outside lower center',
        ncols=min(len(handles), int(figure.get_figwidth() // 2.2)),
        frameon=False,
        handlelength=3.5,
    )


# ---------------------------------------------------------------------- ratios


def _draw_ratios(results: Results, is_memory: bool, out: Path) -> list[Path]:
    """Draw bars of the ratios of every case, a picture for each model, mode and precision."""
    paths = []
    for group in dict.fromkeys((c.model, c.mode, c.dtype) for c in results.cases()):
        cases = [c for c in results.cases() if (c.model, c.mode, c.dtype) == group]
        series = _ratio_series(results, cases, is_memory)
        cases = [c for c in cases if any(c in numbers for _, _, numbers in series)]
        if cases:
            kind = 'memory_ratios' if is_memory else 'speed_ratios'
            path = out / f'{kind}_{"_".join(group)}.png'
            paths.append(_draw_ratio_bars(cases, series, is_memory, ', '.join(group), path))
    return paths


def _ratio_series(results: Results, cases: list[Case], is_memory: bool) -> list[Series]:
    ratio = memory_ratio if is_memory else speed_ratio
    series = []
    for (title, pair, memory), colour in zip(BARS, BAR_COLOURS, strict=True):
        if memory == is_memory:
            numbers = {case: ratio(results, case, *pair) for case in cases}
            numbers = {case: n for case, n in numbers.items() if n is not None}
            if numbers:
                series.append((title, colour, numbers))
    return series


def _draw_ratio_bars(
    cases: list[Case], series: list[Series], is_memory: bool, title: str, path: Path
) -> Path:
    columns = -(-len(cases) // CASES)
    count = -(-len(cases) // columns)
    parts = [cases[i * count : (i + 1) * count] for i in range(columns)]
    bars = max(sum(_bars_of(case, series) + 1 for case in part) for part in parts)
    size = 8.0 * columns, max(2.8, 1.3 + 0.22 * bars)
    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, layout='constrained')
    highest = max(n for _, _, numbers in series for n in numbers.values())
    for axis, part in zip(axes.flat, parts, strict=True):
        _ratio_axis(axis, part, series)
        axis.set_ylim(bars, -1)
        axis.set_xlim(0, max(1.1, highest * 1.12))
        how = 'peak memory over the other (less is better)'
        axis.set_xlabel(how if is_memory else 'times as fast (more is better)')
    figure.suptitle(title)
    _common_legend(figure, axes)
    return _save(figure, path)


def _bars_of(case: Case, series: list[Series]) -> int:
    return sum(case in numbers for _, _, numbers in series)


def _ratio_axis(axis: plt.Axes, cases: list[Case], series: list[Series]) -> None:
    """Draw the bars of each case below each other, with the place of one bar between cases."""
    found: dict[str, list[tuple[float, float]]] = {title: [] for title, _, _ in series}
    ticks, place = [], 0
    for case in cases:
        ticks.append(place + (_bars_of(case, series) - 1) / 2)
        for title, _, numbers in series:
            if case in numbers:
                found[title].append((place, numbers[case]))
                place += 1
        place += 1
    for title, colour, _ in series:
        if found[title]:
            places, numbers = zip(*found[title], strict=True)
            bars = axis.barh(places, numbers, 0.9, color=colour, label=title)
            labels = axis.bar_label(bars, [f'{n:.2f}' for n in numbers], padding=3, fontsize=8)
            for label in labels:  # readable on the line at 1
                label.set_bbox(dict(facecolor='white', edgecolor='none', pad=0.5))
    axis.set_yticks(ticks, [_case_label(case) for case in cases])
    axis.axvline(1.0, color='black', linewidth=1, zorder=0.9)
    axis.grid(alpha=0.3, axis='x')
    axis.set_axisbelow(True)


def _case_label(case: Case) -> str:
    return f'{case.arch}, {size_text(case.size)} px, batch {case.batch}'


# ---------------------------------------------------------------------- growth


def _draw_growth(results: Results, out: Path) -> list[Path]:
    """Draw time and memory per pixel over those of the base size, a picture for each group."""
    paths = []
    for group, rows in _groups(results.rows).items():
        if group[-1].endswith('_graphs'):
            continue
        found = [(row, growth(results, row.case, row.contender)) for row in rows]
        found = [(row, pair) for row, pair in found if pair is not None]
        if found:
            paths.append(_draw_growth_group(found, group, out / f'growth_{"_".join(group)}.png'))
    return paths


def _draw_growth_group(found: list[tuple], group: tuple, path: Path) -> Path:
    archs = list(dict.fromkeys(row.case.arch for row, _ in found))
    figure, axes = plt.subplots(
        len(archs), 2, figsize=(9.6, 3.2 * len(archs) + 0.9), squeeze=False, layout='constrained'
    )
    for line, arch in zip(axes, archs, strict=True):
        own = [(row, pair) for row, pair in found if row.case.arch == arch]
        for axis, which, what in zip(line, (0, 1), ('time', 'peak memory'), strict=True):
            _growth_lines(axis, own, which)
            axis.set_title(f'{arch}: {what} per pixel')
            axis.set(xlabel='image size (pixels)', ylabel='over the first size')
            axis.set_ylim(0, max(1.2, axis.get_ylim()[1]))
    figure.suptitle(_title(group))
    _common_legend(figure, axes)
    return _save(figure, path)


def _growth_lines(axis: plt.Axes, own: list[tuple], which: int) -> None:
    for name in dict.fromkeys(row.contender for row, _ in own):
        points = [(_pixels(r.case), pair[which]) for r, pair in own if r.contender == name]
        points = sorted(p for p in points if p[1] is not None)
        if points:
            axis.plot(*zip(*points, strict=True), label=name, **_line_style(name))
    axis.axhline(1.0, color='black', linewidth=0.8)
    _size_axis(axis, [row for row, _ in own])


def _save(figure: plt.Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
