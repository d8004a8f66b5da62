"""Install and try mmcoat with many versions of Python, PyTorch and toolboxes; write docs/matrix.md.

Each cell is a fresh environment, made by ``uv`` from the package index as docs/install.md says, with the
wheel of this checkout. Takes about 4 minutes a cell, and 25 GB of disk for a cache that all cells share.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.matrix.page import RESULTS, write_page  # noqa: E402  a script that finds its neighbours

PYTHONS = ('3.10', '3.11', '3.12', '3.13')
TORCHES = ('2.6.0', '2.13.0')
LINES = ('onedl', 'upstream')
EXTRA = (
    '3.11:2.13.0:onedl:numpy<2+opencv-python<4.12',
    '3.11:2.15.0:onedl',
    '3.13:2.15.0:onedl',
    '3.11:2.15.0:upstream',
    '3.11:2.13.0:upstream:numpy>=2+opencv-python>=4.12',
)
UPSTREAM_MMCV = ('numpy<2', 'opencv-python<4.12', 'setuptools<81', 'wheel')


@dataclass(frozen=True)
class Cell:
    """One combination; ``pins`` are requirements that are set beside the extra."""

    python: str
    torch: str
    line: str
    pins: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> 'Cell':
        python, torch, line, *rest = text.split(':')
        if line not in LINES or len(rest) > 1:
            raise SystemExit(f'cell {text!r}: expected PYTHON:TORCH:onedl|upstream[:PIN+PIN]')
        return cls(python, torch, line, tuple(rest[0].split('+')) if rest else ())

    def __str__(self) -> str:
        pins = f':{"+".join(self.pins)}' if self.pins else ''
        return f'{self.python}:{self.torch}:{self.line}{pins}'


class InstallError(RuntimeError):
    """The environment of a cell cannot be made; the last line says why."""


def find_python(wanted: str) -> str:
    """Return an interpreter of pyenv or of the path; else the number, which ``uv`` looks for itself."""
    roots = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
    found = sorted(roots.glob(f'{wanted}.*/bin/python{wanted}'))
    return str(found[-1]) if found else shutil.which(f'python{wanted}') or wanted


class Matrix:
    """Environments of one run, in a folder of its own.

    Args:
        work: Folder for the cache and the environments.
        keep: Leave environments of cells that failed.
    """

    def __init__(self, work: Path, keep: bool = False) -> None:
        self.work, self.keep = work.resolve(), keep
        self.work.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            'UV_CACHE_DIR': os.environ.get('UV_CACHE_DIR', str(self.work / 'uvcache')),
            'UV_FIND_LINKS': os.environ.get('PIP_FIND_LINKS', ''),
            'OMP_NUM_THREADS': '1',
        }
        # MMCV_WITH_OPS: set to 0, upstream's package calls itself mmcv-lite
        for name in ('PYTHONPATH', 'MMCV_WITH_OPS'):
            self.environment.pop(name, None)
        self.wheel = self._build_wheel()

    def _run(self, *command: object, cwd: Path | None = None, timeout: int = 3600) -> str:
        result = subprocess.run(
            list(map(str, command)),
            env=self.environment,
            cwd=cwd or self.work,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,  # a machine that is too busy says nothing of the cell: no row then
        )
        if result.returncode:
            # uv's hints are longer than its reasons
            text = re.split(r'\s+hint: ', ' '.join(result.stderr.split()))[0]
            raise InstallError(text if len(text) < 300 else f'... {text[-300:].split(" ", 1)[1]}')
        return result.stdout

    def _build_wheel(self) -> Path:
        """Build the wheel of the files that git knows, without what builds left in the checkout."""
        source = self.work / 'source'
        shutil.rmtree(source, ignore_errors=True)
        names = self._run('git', 'ls-files', '--cached', '--others', '--exclude-standard', cwd=ROOT)
        for name in names.splitlines():
            if (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
        self._run('uv', 'build', '-q', '--wheel', '-o', source / 'dist', source)
        return next((source / 'dist').glob('*.whl'))

    def _install(self, cell: Cell, python: Path) -> None:
        """Install as docs/install.md says, with the pins of the cell in every step."""
        # a numpy without a wheel is one that has to be compiled: no install that we promise
        pip = ('uv', 'pip', 'install', '-q', '--only-binary', 'numpy', '--python', python)
        names = {pin.split('<')[0].split('>')[0].split('=')[0] for pin in cell.pins}
        if cell.line == 'upstream':
            tools = [p for p in UPSTREAM_MMCV if p.split('<')[0] not in names]
            self._run(*pip, *tools, *cell.pins)
            self._run(*pip, '--no-build-isolation', 'mmcv==2.1.0', *cell.pins)
        self._run(*pip, f'torch=={cell.torch}', *cell.pins)
        extra = 'openmmlab' if cell.line == 'upstream' else 'onedl'
        overrides = self.work / 'overrides.txt'
        overrides.write_text('\n'.join(cell.pins))
        self._run(*pip, f'mmcoat[{extra}] @ file://{self.wheel}', '--overrides', overrides)
        if cell.pins:
            self._run(*pip, *cell.pins)

    def run(self, cell: Cell) -> dict:
        """Return the row of a cell: versions, the outcome of each step, minutes."""
        start, place = time.monotonic(), self.work / re.sub(r'[^\w.]+', '_', str(cell))
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        python = place / 'env' / 'bin' / 'python'
        row = dict(cell=str(cell), versions={}, steps={})
        try:
            self._run(
                'uv', 'venv', '-q', '--seed', '--python', find_python(cell.python), place / 'env'
            )
            self._install(cell, python)
            (place / 'try').mkdir()
            script = ROOT / 'tests' / 'matrix' / 'cell.py'
            self._run(python, script, ROOT, place / 'row.json', cwd=place / 'try')
            row.update(json.loads((place / 'row.json').read_text()))
            row['steps'] = {'install': 'ok', **row['steps']}
        except InstallError as error:
            row['steps']['install'] = str(error)
        row['minutes'] = round((time.monotonic() - start) / 60, 1)
        if not self.keep or set(row['steps'].values()) == {'ok'}:
            shutil.rmtree(place, ignore_errors=True)
        return row


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('cells', nargs='*', type=Cell.parse, help='PYTHON:TORCH:LINE[:PIN+PIN]')
    parser.add_argument('--work', type=Path, default=ROOT / 'build' / 'matrix')
    parser.add_argument('--results', type=Path, default=RESULTS, help='rows, kept from run to run')
    parser.add_argument('--keep', action='store_true', help='leave environments that failed')
    return parser.parse_args()


def main() -> int:
    """Try the cells, write the rows and the page after each.

    Returns:
        1 where a cell failed.
    """
    args = parse_args()
    if not shutil.which('uv'):
        raise SystemExit('try_matrix.py needs uv on the path: pip install uv')
    cells = args.cells or [
        *(Cell(p, t, line) for t in TORCHES for line in LINES for p in PYTHONS),
        *map(Cell.parse, EXTRA),
    ]
    matrix = Matrix(args.work, args.keep)
    failed = []
    for cell in cells:
        row = matrix.run(cell)
        rows = json.loads(args.results.read_text()) if args.results.is_file() else []
        rows = [other for other in rows if other['cell'] != row['cell']] + [row]
        args.results.write_text(json.dumps(rows, indent=1) + '\n')
        if args.results == RESULTS:
            write_page(rows)
        bad = {name: text for name, text in row['steps'].items() if text != 'ok'}
        print(f'[matrix] {cell}: {bad or "ok"} ({row["minutes"]} min)', flush=True)
        failed += [str(cell)] if bad else []
    print(f'[matrix] {len(cells) - len(failed)} of {len(cells)} cells work')
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())
