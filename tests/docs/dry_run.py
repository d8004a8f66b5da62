"""Check a command that is not run: its words, as far as they can be known without running it.

Bash runs it, with programs on PATH that only write down how they were called. Then every call is checked: the
arguments by the tool's own parser, the configs by reading them, extras in setup.cfg, targets by ``make -n``.
"""

import argparse
import configparser
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.helpers import ROOT, run_tool

PROGRAMS = ('python', 'pip', 'git', 'make', 'pytest', 'mim')
RECORD = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" >>"$CALLS"
printf '\\n' >>"$CALLS"
case "${0##*/} ${1-}" in
'git clone') /bin/mkdir -p "${2##*/}" ;;
'python -c') echo . ;;
esac
"""


class Parsed(BaseException):
    """A tool has parsed its arguments; what it would do with them does not happen."""

    def __init__(self, found: argparse.Namespace):
        self.found = found


def check_command(command: str, folder: Path, monkeypatch, where: str) -> None:
    """Check the calls of a command line.

    Raises:
        AssertionError: A program is unknown, or a call is wrong.
    """
    calls = record(command, folder, where)
    assert calls, f'{where}nothing is called'
    for name, *words in calls:
        CHECKS[name](words, monkeypatch, where)


def record(command: str, folder: Path, where: str) -> list[list[str]]:
    """Let bash run a command line with stand-ins only, and return their calls."""
    programs, calls = folder / 'stand_ins', folder / 'stand_ins' / 'calls'
    if not programs.exists():
        programs.mkdir()
        for name in PROGRAMS:
            (programs / name).write_text(RECORD)
            (programs / name).chmod(0o755)
        for name in ('bash', 'nproc', 'dirname'):  # what our scripts use
            (programs / name).symlink_to(shutil.which(name))
    calls.write_text('')
    environment = {'PATH': str(programs), 'CALLS': str(calls)}
    result = subprocess.run(
        ['/bin/bash', '-euo', 'pipefail', '-c', command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, where + result.stderr
    return [line.split('\0')[:-1] for line in calls.read_text().splitlines()]


def check_python(words: list[str], monkeypatch, where: str) -> None:
    """Check the arguments of our tool, or that a module is there."""
    tools = [i for i, word in enumerate(words) if re.search(r'(^|/)tools/\w+\.py$', word)]
    if tools:
        check_tool(Path(words[tools[0]]).stem, words[tools[0] + 1 :], monkeypatch, where)
    elif words[0] == '-c':
        compile(words[1], where, 'exec')
    elif words[0].endswith('.py'):
        assert (ROOT / words[0]).is_file(), f'{where}no file {words[0]}'
    else:
        assert words[0] == '-m' and find_spec(words[1]), f'{where}no module {words[1:2]}'
        if 'parse_args()' in Path(find_spec(words[1]).origin).read_text():
            monkeypatch.setattr(sys, 'argv', words[1:])
            parse(lambda: runpy.run_module(words[1], run_name='__main__'), monkeypatch, where)
        else:
            assert not words[2:], f'{where}{words[1]} takes no arguments'


def check_tool(name: str, words: list[str], monkeypatch, where: str) -> None:
    """Let a tool parse its arguments, and read the configs that they name."""
    args = parse(lambda: run_tool(monkeypatch, name, *words), monkeypatch, where)
    read_what_is_named(name, args)


def parse(call, monkeypatch, where: str) -> argparse.Namespace:
    """Call a program up to the end of its parser, and return its arguments."""
    original = argparse.ArgumentParser.parse_args

    def stop(*arguments, **keywords):
        raise Parsed(original(*arguments, **keywords))

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        try:
            call()
        except Parsed as parsed:
            return parsed.found
        except SystemExit:
            pass
    raise AssertionError(f'{where}the arguments are refused')


def read_what_is_named(name: str, args: argparse.Namespace) -> None:
    """Read the configs among the arguments, and what else only the tool itself checks."""
    from mmcoat import runs
    from mmcoat.analysis import verification

    options = getattr(args, 'cfg_options', None)
    if name == 'benchmark':
        from benchmarks.command import read_options

        read_options(args)
    elif name == 'benchmark_segmentation':
        from benchmarks.segmentation.arguments import read_plan

        read_plan(args)
    elif name == 'verify_checkpoint':
        source = None if args.checkpoint == 'auto' else args.checkpoint
        verification.find_claim(args.name, source, options)
    for config in [getattr(args, 'config', None), *getattr(args, 'configs', [])]:
        if config:
            path = config if Path(config).is_file() else runs.find_config(f'{config}.py')
            runs.load_config(str(path), options)


def check_pip(words: list[str], monkeypatch, where: str) -> None:
    """Check that requirements are written as they should be, and that our extras exist."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    assert words[0] == 'install', where
    wanted = [word for word in words[1:] if not word.startswith('-')]
    assert wanted, where
    for word in wanted:
        match = re.fullmatch(r'(\.|[\w-]+)(?:\[([\w,-]+)\])?((?:[<>=!]=?[\d.]+,?)*)', word)
        assert match, f'{where}{word} is no requirement'
        if match[1] in ('.', 'mmcoat') and match[2]:
            unknown = set(match[2].split(',')) - set(setup['options.extras_require'])
            assert not unknown, f'{where}setup.cfg has no extra {unknown}'


def check_make(words: list[str], monkeypatch, where: str) -> None:
    """Check that the target exists, and the tools that it would call."""
    result = subprocess.run(
        ['make', '-n', *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, where + result.stderr
    for line in result.stdout.splitlines():
        if re.search(r'python tools/\w+\.py', line):
            check_python(shlex.split(line, comments=True), monkeypatch, where)


def check_pytest(words: list[str], monkeypatch, where: str) -> None:
    assert all((ROOT / word).exists() for word in words if not word.startswith('-')), where


def check_git(words: list[str], monkeypatch, where: str) -> None:
    assert words[0] == 'clone' and words[1].startswith('https://'), where


def check_mim(words: list[str], monkeypatch, where: str) -> None:
    """Check the names of configs and tools, and the options for a config."""
    command, package, *words = words
    assert command in ('search', 'download', 'train', 'run') and package == 'mmcoat', where
    if command == 'run':
        check_tool(words[0], words[1:], monkeypatch, where)
        return
    name = words[0] if command == 'train' else words[words.index('--config') + 1]
    config = (ROOT / 'configs' / name).with_suffix('.py')
    assert config.is_file(), f'{where}no config {name}'
    if '--cfg-options' in words:
        check_tool(command, [config, *words[words.index('--cfg-options') :]], monkeypatch, where)


CHECKS = {
    'python': check_python,
    'pip': check_pip,
    'git': check_git,
    'make': check_make,
    'pytest': check_pytest,
    'mim': check_mim,
}
