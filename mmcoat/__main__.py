"""``python -m mmcoat``: check the installation."""

import argparse
import contextlib
import io
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmcoat.doctor import Check


def print_table(checks: Sequence['Check']) -> None:
    """Print a table; as plain lines if rich is missing or broken."""
    from mmcoat import doctor

    try:
        from rich.console import Console

        Console(highlight=False).print(doctor.report_table(checks))
    except Exception:
        for check in checks:
            print(f'{check.status:8}{check.name:16}{check.found}  {check.remedy}'.rstrip())


def main(argv: list[str] | None = None) -> int:
    """Print what is installed, and how to fix what is broken.

    Returns:
        1 if something that mmcoat needs is broken, else 0.
    """
    parser = argparse.ArgumentParser(prog='python -m mmcoat', description=__doc__)
    parser.add_argument('--json', action='store_true', help='for programs')
    args = parser.parse_args(argv)
    from mmcoat import doctor

    warnings.simplefilter('ignore')
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        checks = doctor.examine()  # toolboxes print when they are imported
    if args.json:
        print(doctor.report_json(checks))
    else:
        print_table(checks)
    return int(any(check.status == doctor.ERROR for check in checks))


if __name__ == '__main__':
    sys.exit(main())
