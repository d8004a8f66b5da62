"""The page docs/matrix.md, from the rows that tests/matrix/try_matrix.py measured."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name('results.json')
PAGE = ROOT / 'docs' / 'matrix.md'
STEPS = ('install', 'doctor', 'imports', 'golden', 'segmentation', 'detection')
HEAD = """# What works together

Made by `make matrix` (tests/matrix/try_matrix.py): each row is a fresh environment, installed from the
package index with `uv` in the order of [install](install.md), MMCV without compiled operators, on Linux
x86_64 without a GPU. Where a row works, `python -m mmcoat` found nothing broken, everything imported, the
features of CoaT-Lite Tiny were those of the official code, and FPN and Mask R-CNN trained a step, wrote a
checkpoint and were evaluated. What is quoted beside a line was asked for beside the extra.

"""
COLUMNS = ('Python', 'torch', 'line', 'result', 'numpy', 'OpenCV', 'setuptools')


def works(row: dict) -> bool:
    return all(row['steps'].get(step) == 'ok' for step in STEPS)


def line(row: dict, notes: list[str]) -> str:
    """Return a row of the table, and add what failed to the notes."""
    python, torch, name, *pins = row['cell'].split(':')
    found, failures = row['versions'], []
    for step in STEPS:
        result = row['steps'].get(step, 'ok')
        if result != 'ok':
            note = f'{step}: {result}'
            notes += [] if note in notes else [note]
            failures.append(f'{step} ({notes.index(note) + 1})')
    asked = [f'`{pin}`' for pin in pins[0].split('+')] if pins else []
    cells = [
        python,
        found.get('torch', torch),
        ', '.join(['OneDL' if name == 'onedl' else name, *asked]),
        'works' if works(row) else f'fails: {", ".join(failures)}',
        *(found.get(key, '-') for key in ('numpy', 'OpenCV', 'setuptools')),
    ]
    return '| ' + ' | '.join(cells) + ' |'


def order(row: dict) -> tuple:
    python, torch, name, *pins = row['cell'].split(':')
    return (bool(pins), name, [int(n) for n in torch.split('.')], int(python.split('.')[1]), pins)


def render(rows: list[dict]) -> str:
    """Return the page: a row for each cell, what fails numbered below."""
    table = ['| ' + ' | '.join(COLUMNS) + ' |', '|---' * len(COLUMNS) + '|']
    notes: list[str] = []
    table += [line(row, notes) for row in sorted(rows, key=order)]
    text = HEAD + '\n'.join(table) + '\n'
    if notes:
        text += '\nWhat fails, in its own words:\n\n'
        quoted = (note.replace('`', "'") for note in notes)
        text += '\n'.join(f'{i}. `{note}`' for i, note in enumerate(quoted, 1)) + '\n'
    return text


def write_page(rows: list[dict]) -> None:
    PAGE.write_text(render(rows), encoding='utf-8')


def read() -> list[dict]:
    return json.loads(RESULTS.read_text(encoding='utf-8'))
