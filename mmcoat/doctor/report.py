"""Show the report: a table for people, JSON for programs."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .checks import ERROR, WARNING, Check

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {ERROR: '[bold red]ERROR', WARNING: '[yellow]warning'}


def report_json(checks: Sequence[Check]) -> str:
    """Return the checks as JSON, with ``ok`` for the whole."""
    content = dict(
        ok=all(check.status != ERROR for check in checks),
        checks=[dataclasses.asdict(check) for check in checks],
    )
    return json.dumps(content, indent=2)


def report_table(checks: Sequence[Check]) -> 'Table':
    """Return the checks as a table of rich."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow='fold')
    for check in checks:
        text = escape(check.found)
        if check.remedy:
            text += f'\n[bold]{escape(check.remedy)}'
        table.add_row(MARKS.get(check.status, '[green]OK'), check.name, text)
    return table
