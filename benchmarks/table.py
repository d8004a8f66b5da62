"""Tables of the results, for the terminal and in Markdown, and the ratios that matter."""

from collections.abc import Sequence
from typing import Any

from .cases import Case, size_text
from .results import Results, Row

HEADER = (
    'arch', 'size', 'batch', 'dtype', 'mode', 'contender', 'ms', 'quartiles', 'images/s', 'peak MB',
    'x timm', 'x timm-compiled', 'memory / timm', 'max diff', 'first call s',
)  # fmt: skip
MEGABYTE = 2**20
GROWTH_BASE = (512, 512)
# (title, who, against whom): how many times as fast
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


def speed_ratio(results: Results, case: Case, ours: str, other: str) -> float | None:
    """Return how many times as fast ``ours`` is, by medians, None where one was not measured."""
    a, b = results.find(case, ours), results.find(case, other)
    return b.median / a.median if a and b else None


def memory_ratio(results: Results, case: Case, ours: str, other: str) -> float | None:
    """Return the peak memory of ``ours`` over that of ``other``, None where one was not measured."""
    a, b = results.find(case, ours), results.find(case, other)
    if not (a and b and a.peak_bytes is not None and b.peak_bytes):
        return None
    return a.peak_bytes / b.peak_bytes


def bf16_ratio(results: Results, case: Case, contender: str = 'default') -> float | None:
    """Return how many times as fast bf16 is as fp32 in an otherwise equal case."""
    if case.dtype != 'bf16':
        return None
    fp32 = Case(case.arch, case.size, case.batch, 'fp32', case.mode, case.model)
    a, b = results.find(case, contender), results.find(fp32, contender)
    return b.median / a.median if a and b else None


def growth(results: Results, case: Case, contender: str) -> tuple[float, float | None] | None:
    """Return time and peak memory per pixel over those at 512 px of an otherwise equal case.

    Where 512 px were not measured the smallest size is the base; sizes below the base have no growth.
    """
    row = results.find(case, contender)
    alike = [
        r for r in results.rows
        if r.status == 'ok' and r.contender == contender and _but_size(r.case) == _but_size(case)
    ]  # fmt: skip
    if row is None:
        return None
    base = next((r for r in alike if r.case.size == GROWTH_BASE), None)
    base = base or min(alike, key=lambda r: _pixels(r.case))
    if max(_pixels(r.case) for r in alike) == _pixels(base.case) or _pixels(case) < _pixels(
        base.case
    ):
        return None
    pixels = _pixels(case) / _pixels(base.case)
    time = row.median / base.median / pixels
    if row.peak_bytes is None or not base.peak_bytes:
        return time, None
    return time, row.peak_bytes / base.peak_bytes / pixels


def _but_size(case: Case) -> tuple:
    return case.model, case.arch, case.batch, case.dtype, case.mode


def _pixels(case: Case) -> int:
    return case.size[0] * case.size[1]


# ---------------------------------------------------------------------- cells


def result_cells(results: Results, row: Row) -> list[str]:
    """Return the texts of one measured row of the main table."""
    case, q = row.case, row.quartiles
    model = case.arch if case.model == 'backbone' else f'{case.model} {case.arch}'
    cells = [model, size_text(case.size), str(case.batch), case.dtype, case.mode, row.contender]
    peak = None if row.peak_bytes is None else row.peak_bytes / MEGABYTE
    largest = row.difference['largest'] if row.difference else None
    return [
        *cells,
        _number(q[1] * 1e3, '.1f'),
        f'{q[0] * 1e3:.1f}-{q[2] * 1e3:.1f}',
        _number(row.images_per_second, '.2f'),
        _number(peak, '.1f'),
        _number(speed_ratio(results, case, row.contender, 'timm'), '.2f'),
        _number(speed_ratio(results, case, row.contender, 'timm-compiled'), '.2f'),
        _number(memory_ratio(results, case, row.contender, 'timm'), '.2f'),
        _number(largest, '.1e'),
        _number(row.first_call, '.1f'),
    ]


def ratio_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows of the ratio table; columns in which nothing was measured are left out."""
    titles = [t for t, _, _ in SPEED_RATIOS] + ['bf16 / fp32'] + [t for t, _, _ in MEMORY_RATIOS]
    rows = []
    for case in results.cases():
        values = [speed_ratio(results, case, a, b) for _, a, b in SPEED_RATIOS]
        values += [bf16_ratio(results, case)]
        values += [memory_ratio(results, case, a, b) for _, a, b in MEMORY_RATIOS]
        if any(v is not None for v in values):
            rows.append((case, values))
    kept = [i for i in range(len(titles)) if any(values[i] is not None for _, values in rows)]
    return (
        ['case', *(titles[i] for i in kept)],
        [[str(case), *(_number(values[i], '.2f') for i in kept)] for case, values in rows],
    )


def growth_rows(results: Results) -> list[list[str]]:
    """Return the rows of the growth table: each size over the smallest of the same contender."""
    rows = []
    for row in results.rows:
        found = growth(results, row.case, row.contender) if row.status == 'ok' else None
        if found is not None and found[0] != 1.0:  # the base itself
            cells = [
                str(row.case),
                row.contender,
                _number(found[0], '.2f'),
                _number(found[1], '.2f'),
            ]
            rows.append(cells)
    return rows


def missing_rows(results: Results) -> list[list[str]]:
    """Return who has no times and why; one row where the reason is the same in many cases."""
    found: dict[tuple[str, str, str], list[Case]] = {}
    for row in results.rows:
        if row.status != 'ok':
            found.setdefault((row.contender, row.status, row.reason), []).append(row.case)
    everywhere = len(results.cases())
    rows = []
    for (contender, status, reason), cases in found.items():
        where = 'all' if len(cases) == everywhere else f'{cases[0]}'
        more = f' and {len(cases) - 1} more' if 1 < len(cases) < everywhere else ''
        rows.append([contender, where + more, status, reason])
    return rows


def _number(value: float | None, form: str) -> str:
    return '' if value is None else format(value, form)


# ---------------------------------------------------------------------- text


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ['-' * width for width in widths], *rows]
    return '\n'.join(
        '  '.join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(c.replace('|', '/') for c in line) + ' |' for line in lines)


def report(results: Results, markdown: bool = False) -> str:
    """Return all tables and where they were measured."""
    table = markdown_table if markdown else text_table
    rows = [result_cells(results, row) for row in results.rows if row.status == 'ok']
    parts = [environment_text(results.environment), table(HEADER, rows)]
    missing = missing_rows(results)
    if missing:
        parts += ['Not measured:', table(('contender', 'cases', 'status', 'reason'), missing)]
    header, ratios = ratio_rows(results)
    if ratios:
        parts += ['Ratios of medians (speed: how many times as fast; memory: over the other):']
        parts.append(table(header, ratios))
    grown = growth_rows(results)
    if grown:
        parts += [
            'Growth: time and peak memory per pixel, over those at 512 px, or else of the smallest size:'
        ]
        parts.append(table(('case', 'contender', 'time / pixel', 'memory / pixel'), grown))
    return '\n\n'.join(parts) + '\n'


def environment_text(found: dict[str, Any]) -> str:
    """Return two sentences about where the numbers come from."""
    place = found.get('gpu') or found['cpu']
    packages = ', '.join(f'{k} {v}' for k, v in found['packages'].items() if v)
    return (
        f'Measured {found["date"]} on {place} ({found["device"]}), {found["threads"]} threads of '
        f'{found["cores"]} cores, PyTorch {found["torch"]}, {packages}; allocator: {found["allocator"]}. '
        f'Command: `{found["command"]}`. Peak MB is memory above weights and images, during one step.'
    )
