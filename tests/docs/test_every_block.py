"""No block of a page is forgotten: it is run by test_pages.py, or an exception that says why not."""

import re

import pytest

from mmcoat.errors import UsageError
from tests.docs import test_pages, test_tutorials
from tests.docs.blocks import ROOT, Session, blocks, commands, run_page
from tests.docs.dry_run import check_command
from tests.docs.exceptions import EXCEPTIONS

FENCE = re.compile(r' {0,9}(`{3,}|~{3,})\s*([\w+-]*)')
TEXT = {'', 'text', 'yaml', 'bibtex'}
COMMAND = re.compile(
    r'\s*(\$ |[A-Z_]+=\S+ )*(python3?|pip3?|make|mim|git|bash|pytest|uv|\./?tools/\S+|tools/\S+\.sh)\s'
)


def fences(text: str) -> list[tuple[str, str, int]]:
    """Return language, text and line of every fenced block, however it is indented."""
    found, end = [], ''
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if not end and match:
            end, language, lines, start = match[1], match[2], [], number
        elif end and line.strip().startswith(end):
            found.append((language, '\n'.join(lines), start))
            end = ''
        elif end:
            lines.append(line)
    assert not end, f'a block is not closed, line {start}'
    return found


@pytest.mark.parametrize('page', test_pages.PAGES, ids=lambda page: page.name)
def test_every_block_is_run(page):
    """What the page shows, read in another way, is what test_pages.py runs."""
    run = {(block.language, block.line) for block in blocks(page) if block.page == page}
    for language, text, line in fences(page.read_text(encoding='utf-8')):
        where = f'{page.name}:{line}'
        if language in TEXT:
            assert not COMMAND.match(text), f'{where}: commands are not in a block of bash'
        else:
            assert (language, line) in run, f'{where}: no test runs a block of {language!r}'
    if run:
        name = page.relative_to(ROOT).as_posix()
        assert name in test_pages.NAMES or page in test_pages.BEGINNINGS, f'{name} is not run'


@pytest.mark.parametrize('page', test_pages.PAGES, ids=lambda page: page.name)
def test_commands_are_in_blocks(page):
    """Text that is set off by four spaces is no place for a command: nothing would run it."""
    text = re.sub(r'<!--.*?-->', '', page.read_text(encoding='utf-8'), flags=re.DOTALL)
    inside = '\n'.join(block for _, block, _ in fences(text))
    for before, line in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if not before.strip() and line.startswith('    ') and line not in inside:
            assert not COMMAND.match(line), f'{page.name}: {line.strip()}'


@pytest.mark.parametrize('exception', EXCEPTIONS, ids=lambda e: f'{e.page}: {e.start}')
def test_an_exception_is_needed_and_true(exception):
    page = ROOT / exception.page
    shown = [block for block in blocks(page) if block.page == page and not block.hidden]
    lines = [line for block in shown if block.language == 'bash' for line in commands(block.text)]
    python = [block.text for block in shown if block.language == 'python']
    assert any(line.startswith(exception.start) for line in lines) or any(
        exception.start in text for text in python
    ), 'the page has no such command'
    assert exception.reason
    if exception.instead:
        assert exception.proof in (ROOT / exception.instead).read_text(encoding='utf-8')


def test_every_tutorial_is_run():
    scripts = set((ROOT / 'docs' / 'tutorials').glob('*.py'))
    assert scripts - set(test_tutorials.TUTORIALS) == {ROOT / 'docs/tutorials/shell.py'}


# ---------------------------------------------------------------------- the tests notice


PAGE = """<!-- file: x.py -->
```python
import sys
sys.exit(3)
```

- in a list

  ```bash
  python x.py
  ```

<!-- run: true -->
```python
number = 1
```
```python
number += missing
```
"""


def test_a_block_that_fails_is_noticed(monkeypatch, tmp_path):
    page = tmp_path / 'a.md'
    page.write_text(PAGE)
    assert [(b.language, b.file, b.line, b.hidden) for b in blocks(page)] == [
        ('python', 'x.py', 2, False),
        ('bash', '', 9, False),
        ('bash', '', 13, True),
        ('python', '', 14, False),
        ('python', '', 17, False),
    ]
    (tmp_path / 'run').mkdir()
    with pytest.raises(AssertionError, match=r'a\.md:9\n'):
        run_page(page, tmp_path / 'run', monkeypatch)
    page.write_text(PAGE.replace('exit(3)', 'exit(0)'))
    (tmp_path / 'again').mkdir()
    with pytest.raises(AssertionError, match=r"a\.md:17\n(.|\n)*NameError: name 'missing'"):
        run_page(page, tmp_path / 'again', monkeypatch)


@pytest.mark.parametrize(
    'text, message',
    [
        ('```bash\ntrue\n```\n~~~bash\ntrue\n~~~\n', 'a.md:4: no test runs'),
        ('```console\ntrue\n```\n', 'no test runs'),
        ('```\npython x.py\n```\n', 'not in a block of bash'),
        ('````bash\ntrue\n````\n', 'no test runs'),
    ],
)
def test_a_block_that_is_not_run_is_noticed(tmp_path, text, message):
    page = tmp_path / 'a.md'
    page.write_text(text)
    with pytest.raises(AssertionError, match=message):
        test_every_block_is_run(page)


TINY = 'configs/fpn_coat_lite_t_ade20k.py'


@pytest.mark.parametrize(
    'command, message',
    [
        (f'python tools/train.py {TINY} --no-such-option', 'are refused'),
        (f'python tools/train.py {TINY} --cfg-options model.backbone.archs=1', 'did you mean'),
        ('python tools/train.py configs/no_such_config.py', 'no_such_config'),
        (f'tools/dist_train.sh {TINY} 8 --no-such-option', 'are refused'),
        ('python tools/benchmark.py --archs no_such_arch', 'arch must be one of'),
        ('make benchmark BENCHMARK_ARGS="--archs no_such_arch"', 'arch must be one of'),
        ('make no-such-target', 'No rule to make target'),
        ('python -m tests.no_such_module', 'no module'),
        ('python -m tests.campaign.kill --no-such-option', 'are refused'),
        ('pip install ".[onedl,no_such_extra]"', "no extra {'no_such_extra'}"),
        ('pytest tests/no_such_folder', 'a page'),
        ('mim download mmcoat --config no_such_config', 'no config no_such_config'),
        ('no-such-program', 'command not found'),
    ],
)
def test_a_command_that_is_wrong_is_noticed(monkeypatch, tmp_path, command, message):
    Session(tmp_path, monkeypatch)
    with pytest.raises((AssertionError, ValueError, UsageError), match=message):
        check_command(command, tmp_path, monkeypatch, 'a page: ')
