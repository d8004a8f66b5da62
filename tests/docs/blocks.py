"""Run the blocks of a page, word for word.

A page is run in a folder with tools/ and configs/, as in a checkout, and with an empty cache for downloads.

- ``bash`` blocks are commands.
- ``python`` blocks run one after another in one session; after ``<!-- file: NAME -->`` a block is that file.
- What a reader does not see prepares them: ``<!-- run: COMMANDS -->``, ``<!-- python: CODE -->`` in the same
  session, ``<!-- after: PAGE -->`` for a page whose results this one uses, and
  ``<!-- with: TOOL ARGUMENTS -->``, which shortens what that tool does in the next block.
- Blocks of another language, or without one, are text.

Commands in tests/docs/exceptions.py are not run but checked (tests/docs/dry_run.py).
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.dry_run import check_command
from tests.docs.exceptions import find_exceptions
from tests.docs.prepare import Preparation
from tests.helpers import ROOT, run_tool

PARTS = re.compile(
    r'^<!--\s*(?P<word>run|python|file|with|after):\s*(?P<hidden>.*?)\s*-->$'
    r'|^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$',
    re.MULTILINE | re.DOTALL,
)
AFTER = r'<!-- after: (\S+) -->'
LANGUAGES = ('bash', 'python')
TOOL = re.compile(r'python tools/(\w+)\.py\b')
MODULE = re.compile(r'python -m (mmcoat)\b')
# Variables of the environment that hidden commands use for --cfg-options.
WORKERS = ' '.join(
    f'{split}_dataloader.{name}'
    for split in ('train', 'val', 'test')
    for name in ('num_workers=0', 'persistent_workers=False')
)
SHORT = (
    f'{WORKERS} model.backbone.init_cfg=None train_cfg.max_iters=1 train_cfg.val_interval=1 '
    'train_dataloader.batch_size=2'
)
# README has no room for what prepares it: before the line that begins so comes
README = {
    '```bash\npython tools/train.py configs/upernet_coat_lite_s_ade20k.py --amp': """
<!-- python: prepare.data('ade20k', 'data/ade/ADEChallengeData2016')
prepare.data('ade20k', 'data/mine')
prepare.config('upernet_coat_lite_s_ade20k', 'configs/upernet_coat_lite_s_ade20k.py', scale=(128, 64),
    model=dict(decode_head=dict(channels=16), auxiliary_head=dict(channels=16)))
prepare.weights('configs/upernet_coat_lite_s_ade20k.py', 'work_dirs/.../iter_160000.pth')
prepare.photos('photos/a.jpg', 'photos/b.jpg', size=(256, 8))
-->
<!-- with: train.py --cfg-options $SHORT "crop_size=(64,64)" -->
<!-- with: test.py --cfg-options $SHORT -->
""",
    '```python\nfrom mmcoat import Inferencer': """
<!-- run: mv work_dirs/.../iter_160000.pth . -->
""",
    '```bash\npython tools/train.py configs/upernet_coat_lite_s_ade20k.py --cfg-options': """
<!-- with: train.py --overwrite --cfg-options $SHORT "crop_size=(64,64)" -->
""",
    "```python\n_base_ = './fpn_coat_lite_s_own.py'": """
<!-- file: configs/mine.py -->
""",
    'Here 0 is unlabelled': """
<!-- run: rm -r data/mine -->
<!-- python: prepare.own_data('data/mine') -->
<!-- run: python tools/check_dataset.py configs/mine.py -->
<!-- run: python tools/train.py configs/mine.py --cfg-options crop_size="(64,64)" scale="(128,64)" $SHORT -->
<!-- python: from mmcoat.checkpoints import read_checkpoint
state = read_checkpoint('work_dirs/mine/iter_1.pth')['state_dict']
assert state['decode_head.conv_seg.weight'].shape[0] == 3
-->
""",
}


@dataclass
class Block:
    """A piece of a page that is run, or a file that it shows."""

    page: Path
    language: str
    text: str
    line: int
    file: str = ''
    more: dict[str, str] = field(default_factory=dict)  # arguments that are not shown, by tool
    hidden: bool = False


def blocks(page: Path) -> list[Block]:
    """Return the parts of a page that are run, in order."""
    content, found, file, more = page.read_text(encoding='utf-8'), [], '', {}
    for position, match in parts(page, content):
        line, hidden = content.count('\n', 0, position) + 1, match['hidden']
        if match['word'] == 'file':
            file = hidden
        elif match['word'] == 'with':
            tool, arguments = hidden.split(maxsplit=1)
            more[tool] = arguments
        elif match['word'] == 'after':
            found += blocks(page.with_name(hidden))
        elif match['word']:
            language = 'bash' if match['word'] == 'run' else 'python'
            found.append(Block(page, language, hidden, line, hidden=True))
        elif match['language'] in LANGUAGES or file:
            text = re.sub(f'^{match["indent"]}', '', match['text'], flags=re.MULTILINE)
            found.append(Block(page, match['language'], text, line, file, more))
            file, more = '', {}
    return found


def parts(page: Path, content: str) -> list[tuple[int, re.Match[str]]]:
    """Return blocks and comments with their positions, README's own preparations included."""
    found = [(match.start(), match) for match in PARTS.finditer(content)]
    for start, hidden in README.items() if page == ROOT / 'README.md' else ():
        position = content.index(f'\n{start}')
        found += [(position, match) for match in PARTS.finditer(hidden)]
    return sorted(found, key=lambda part: part[0])


def commands(text: str) -> list[str]:
    """Return the commands of a block, one a line, without comments between them."""
    lines = (line.strip() for line in text.replace('\\\n', ' ').splitlines())
    return [line for line in lines if line and not line.startswith('#')]


class Session:
    """A folder like a checkout, in which the blocks of a page run one after another."""

    def __init__(self, folder: Path, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.variables = dict(prepare=Preparation(monkeypatch))
        for name, value in make_checkout(folder).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)

    def run(self, block: Block) -> None:
        """Run a block; check what is an exception.

        Raises:
            AssertionError: The block fails; names its line.
        """
        where = f'{block.page.name}:{block.line}\n{block.text}\n'
        exceptions = [] if block.hidden else find_exceptions(block.page, block.text)
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == 'bash':
            self.bash(block, [e.start for e in exceptions], where)
        else:
            code = compile(block.text, f'{block.page.name}:{block.line}', 'exec')
            if not exceptions:
                self.python(code, where)

    def bash(self, block: Block, starts: list[str], where: str) -> None:
        """Run a block in a shell, or one by one the commands of which some are ours or exceptions."""
        lines = commands(block.text)
        excepted = [line.startswith(tuple(starts)) for line in lines]
        if all(excepted):
            check_command(block.text, self.folder, self.monkeypatch, where)
        elif any(excepted) or all(TOOL.match(line) or MODULE.match(line) for line in lines):
            for line, skip in zip(lines, excepted, strict=True):
                if skip:
                    check_command(line, self.folder, self.monkeypatch, where)
                else:
                    self.command(line, block, where)
        else:
            self.shell(block.text, where)

    def command(self, line: str, block: Block, where: str) -> None:
        """Run a command: one of ours in this process, where everything is imported already."""
        if tool := TOOL.match(line):
            words = insert(split(line)[2:], split(block.more.get(f'{tool[1]}.py', '')))
            assert run_tool(self.monkeypatch, tool[1], *words) == 0, where
        elif module := MODULE.match(line):
            self.monkeypatch.setattr(sys, 'argv', split(line)[2:])
            try:
                runpy.run_module(module[1], run_name='__main__')
            except SystemExit as stop:
                assert not stop.code, where
        else:
            self.shell(line, where)

    def shell(self, text: str, where: str) -> None:
        bash = ['bash', '-euo', 'pipefail', '-c', text]
        result = subprocess.run(bash, capture_output=True, text=True, check=False)
        assert result.returncode == 0, where + (result.stdout + result.stderr)[-3000:]

    def python(self, code, where: str) -> None:
        try:
            exec(code, self.variables)
        except Exception as error:
            raise AssertionError(f'{where}{type(error).__name__}: {error}') from error


def run_page(page: Path, folder: Path, monkeypatch) -> None:
    """Run all blocks of a page in a new folder.

    Raises:
        AssertionError: A block fails; names its line.
    """
    session = Session(folder, monkeypatch)
    for block in blocks(page):
        session.run(block)


def split(command: str) -> list[str]:
    """Return the words of a command as bash sees them."""
    bash = ['bash', '-euc', f"printf '%s\\n' {command}"]
    found = subprocess.run(bash, capture_output=True, text=True, check=True).stdout.splitlines()
    return found if command else []


def insert(words: list[str], more: list[str]) -> list[str]:
    """Add arguments; ``--cfg-options`` before the reader's own, which have priority."""
    name = '--cfg-options'
    if name in words and name in more:
        at = more.index(name)
        position = words.index(name) + 1
        return words[:position] + more[at + 1 :] + words[position:] + more[:at]
    return words + more


def make_checkout(folder: Path) -> dict[str, str]:
    """Make a folder look like a checkout; return the environment in which ``python`` is this one."""
    (folder / 'tools').symlink_to(ROOT / 'tools')
    (folder / 'examples').symlink_to(ROOT / 'examples')
    shutil.copytree(
        ROOT / 'configs', folder / 'configs'
    )  # a page may write a config beside the others
    (folder / 'bin').mkdir()
    (folder / 'bin' / 'python').write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / 'bin' / 'python').chmod(0o755)
    return {
        'PATH': os.pathsep.join([str(folder / 'bin'), os.environ['PATH']]),
        'PYTHONPATH': str(ROOT),
        'COLUMNS': '100',
        'SHORT': SHORT,
        'WORKERS': WORKERS,
        'TORCH_HOME': str(folder / 'cache'),
    }
