"""Write a report into files."""

import json
from pathlib import Path

from mmcoat.errors import UsageError

from .drawing import draw
from .reports import Report

PICTURES = ('.pdf', '.png', '.svg')


def check_targets(out: str | None, picture: str | None) -> None:
    """Check the path of a result before the work.

    Raises:
        UsageError: A file of another kind would be overwritten, or the folder does not exist.
    """
    for option, path, endings in (('--out', out, ('.json',)), ('--picture', picture, PICTURES)):
        if path is None:
            continue
        if Path(path).suffix.lower() not in endings:
            raise UsageError(f'{option} {path} must end in {" or ".join(endings)}')
        if not Path(path).parent.is_dir():
            raise UsageError(f'{option} {path}: folder {Path(path).parent} does not exist')


def write(report: Report, out: str | None, picture: str | None) -> None:
    """Write the report as JSON, and as a picture.

    Raises:
        UsageError: A file cannot be written.
    """
    try:
        if out:
            Path(out).write_text(json.dumps(report.as_dict(), indent=2) + '\n')
        if picture:
            draw(report, picture)
    except OSError as error:
        raise UsageError(f'{error.filename or out or picture}: {error.strerror}') from None
