"""Show a report as tables in the terminal."""

from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .findings import SHOWN, Finding
from .reports import ClassRow, Report, SetReport

COLOURS = {'error': 'bold red', 'warning': 'yellow', 'note': 'dim'}
MOST_CLASSES = 40  # maximal number of rows; the JSON file has all classes


def show(report: Report, console: Console) -> None:
    """Print the findings, and the classes of all data sets side by side."""
    found = list(report.findings())
    console.print(_findings(found) if found else 'Nothing found.')
    for kind in ('segmentation', 'coco'):
        sets = [one for one in report.sets if one.kind == kind and one.classes]
        if sets:
            console.print(_classes(sets))
    for one in report.sets:
        console.print(_summary(one), highlight=False, soft_wrap=True)


def _findings(found: list[Finding]) -> Table:
    table = Table(title='Findings', title_justify='left', show_lines=True)
    table.add_column('set')
    table.add_column('level')
    table.add_column('what, and the cure', overflow='fold', ratio=3)
    table.add_column('count', justify='right')
    table.add_column('where', overflow='fold', ratio=3)
    for f in found:
        table.add_row(
            f.split,
            f'[{COLOURS[f.level]}]{f.level}[/]',
            f'{escape(f.kind.text)}\n[dim]{escape(f.kind.cure)}[/]',
            '' if f.kind.whole else f'{f.count:,}',
            escape('\n'.join(f.places[:SHOWN]) + ('\n...' if f.count > SHOWN else '')),
        )
    return table


def _classes(sets: list[SetReport]) -> Table:
    boxes = sets[0].kind == 'coco'
    columns = [{row.name: row for row in one.classes} for one in sets]
    total: Counter[str] = Counter()
    for rows in columns:
        total.update({name: row.amount for name, row in rows.items()})
    present = [name for name, amount in total.most_common() if amount]
    table = Table(title='Classes', title_justify='left', caption=_left_out(total, present, boxes))
    table.add_column('class', overflow='fold')
    for one in sets:
        table.add_column(f'{one.split}: images', justify='right')
        table.add_column('boxes' if boxes else 'pixels', justify='right')
        table.add_column('share', justify='right')
        if boxes:
            table.add_column('mean area', justify='right')
    for name in present[:MOST_CLASSES]:
        cells = [cell for rows in columns for cell in _cells(rows.get(name), boxes)]
        table.add_row(escape(name), *cells)
    return table


def _left_out(total: Counter, present: list[str], boxes: bool) -> str:
    absent, rest = len(total) - len(present), len(present) - MOST_CLASSES
    notes = [f'{absent} classes without a {"box" if boxes else "pixel"}'] if absent else []
    notes += [f'{rest} rarer classes are in --out only'] if rest > 0 else []
    return ', '.join(notes)


def _cells(row: ClassRow | None, boxes: bool) -> list[str]:
    if row is None or not row.amount:
        return ['0', '0', ''] + ([''] if boxes else [])
    cells = [f'{row.images:,}', f'{row.amount:,}', f'{row.share:.2%}']
    return cells + ([f'{row.area:,.0f}'] if boxes else [])


def _summary(one: SetReport) -> str:
    """Return one line: how many images, and of which sizes."""
    if not one.kind:
        why = 'no label maps of MMSegmentation and no COCO file, or not on this machine'
        return f'{one.split}: not checked: {why}'
    text = f'{one.split}: {one.opened:,} of {one.images:,} images opened'
    if one.sizes:
        widths, heights = zip(*one.sizes, strict=True)
        text += f', {min(widths)} to {max(widths)} wide, {min(heights)} to {max(heights)} high'
    if one.kind == 'coco':
        text += f', {sum(row.amount for row in one.classes):,} boxes, {one.empty:,} images without'
    elif one.ignored:
        total = one.ignored + sum(row.amount for row in one.classes)
        text += f', {one.ignored / total:.1%} of the pixels ignored'
    return text
