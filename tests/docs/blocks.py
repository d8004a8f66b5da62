"""Run the commands in a document.

In a document, in this order:

- ``bash`` blocks are run, from a folder in which tools/ and configs/ lie as in a checkout;
- ``python`` blocks are run as scripts; after a comment ``<!-- file: NAME -->`` the block is that file;
- ``<!-- run: COMMANDS -->`` are commands that a reader does not see: data to try on, and what shortens a
  training;
- blocks of another language, or without one, are text.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import ROOT, run_tool

TOOL = 'python tools/'
PARTS = re.compile(
    r'^<!--\s*(?P<word>run|file):\s*(?P<hidden>.*?)\s*-->$|^```(?P<language>\w*)\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """A piece of a document that is run, or a file that it shows."""

    language: str
    text: str
    line: int
    file: str = ''


def blocks(document: Path) -> list[Block]:
    """Return the parts of a document that are run, in order."""
    content, found, file = document.read_text(encoding='utf-8'), [], ''
    for match in PARTS.finditer(content):
        line = content.count('\n', 0, match.start()) + 1
        if match['word'] == 'file':
            file = match['hidden']
        elif match['word'] == 'run':
            found.append(Block('bash', match['hidden'], line))
        elif match['language'] in ('bash', 'python') or file:
            found.append(Block(match['language'], match['text'], line, file))
            file = ''
    return found


def run_document(document: Path, folder: Path, monkeypatch) -> int:
    """Run a document in a folder and return how many blocks it has.

    Commands of this package's tools are called in this process, where everything is imported already.

    Raises:
        AssertionError: A block fails; names its line.
    """
    environment = prepare(folder)
    monkeypatch.chdir(folder)
    found = blocks(document)
    for block in found:
        where = f'{document.name}:{block.line}\n{block.text}\n'
        commands = block.text.replace('\\\n', ' ').strip().splitlines()
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == 'bash' and all(c.startswith(TOOL) for c in commands):
            for command in commands:
                name, *arguments = split(command.removeprefix(TOOL), environment)
                assert run_tool(monkeypatch, name.removesuffix('.py'), *arguments) == 0, where
        else:
            shell = ['bash', '-euo', 'pipefail'] if block.language == 'bash' else [sys.executable]
            result = subprocess.run(
                [*shell, '-c', block.text],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert result.returncode == 0, where + (result.stdout + result.stderr)[-3000:]
    return len(found)


def split(command: str, environment: dict[str, str]) -> list[str]:
    """Return the words of a command as bash sees them."""
    script = f"printf '%s\\n' {command}"
    result = subprocess.run(
        ['bash', '-euc', script], env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()


def prepare(folder: Path) -> dict[str, str]:
    """Make a folder look like a checkout, and return an environment in which ``python`` is this one."""
    for name in ('tools', 'configs'):
        (folder / name).symlink_to(ROOT / name)
    (folder / 'bin').mkdir()
    (folder / 'bin' / 'python').write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / 'bin' / 'python').chmod(0o755)
    path = os.pathsep.join([str(folder / 'bin'), os.environ['PATH']])
    return {**os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT), 'COLUMNS': '100'}
