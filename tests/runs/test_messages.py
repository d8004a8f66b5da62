"""docs/messages.md quotes messages that exist."""

import ast
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

import pytest

from tests.helpers import ROOT

LINES = (ROOT / 'docs' / 'messages.md').read_text().splitlines()
ROWS = [line.strip('| ').split(' | ') for line in LINES if line.startswith('| `')]
OURS = [row[0] for row in ROWS if len(row) == 3]
THEIRS = [(row[1], row[0]) for row in ROWS if len(row) == 4]


@lru_cache
def texts(path: Path) -> str:
    """Return the texts of a Python file, one a line; what is formatted into them becomes a NUL."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else '\0' for p in node.values]
            found.append(''.join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return '\n'.join(text.replace('\n', ' ') for text in found)


def pattern(message: str) -> str:
    assert message.startswith('`') and message.endswith('`'), message
    parts = message[1:-1].split('…')
    return '[^\n]*'.join(re.escape(part) for part in parts)


def test_the_page_is_read():
    assert len(OURS) > 30 and len(THEIRS) > 10
    assert not re.search(pattern('`no such … message`'), texts(ROOT / 'mmcoat' / 'cli.py'))


@pytest.mark.parametrize('message', OURS)
def test_ours(message):
    files = sorted((ROOT / 'mmcoat').rglob('*.py'))
    assert any(re.search(pattern(message), texts(path)) for path in files)


@pytest.mark.parametrize(('file', 'message'), THEIRS)
def test_theirs(file, message):
    package = file.split('/')[0]
    if package == 'mmdet':
        pytest.importorskip('mmdet')
    folder = Path(importlib.util.find_spec(package).origin).parent
    assert re.search(pattern(message), texts(folder.parent / file))
