"""Hooks of the documentation site.

Links to repository files that the site lacks become names. Tutorials, which are scripts in jupytext's percent
format, become pages, and links to their notebooks lead to these pages.
"""

import re
from pathlib import Path
from typing import Any

# [text](../path), outside of docs/
OUTSIDE = re.compile(r'\[([^\]]+)\]\(\.\./([^)]+)\)')
NOTEBOOK = re.compile(r'\((tutorials/\w+)\.ipynb\)')
TUTORIALS = Path(__file__).parent / 'tutorials'


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Replace each link to a file outside docs/ by its text, and add the path if it is not the text."""

    def name(match: re.Match[str]) -> str:
        text, path = match.groups()
        return f'`{path}`' if text.strip('`') in path else f'{text} (`{path}`)'

    return NOTEBOOK.sub(r'(\1.md)', OUTSIDE.sub(name, markdown))


def on_files(files: Any, config: Any, **kwargs: object) -> Any:
    """Add a page for each tutorial."""
    from mkdocs.structure.files import File

    for script in sorted(TUTORIALS.glob('own_*.py')):
        content = tutorial_page(script)
        files.append(File.generated(config, f'tutorials/{script.stem}.md', content=content))
    return files


def cells(text: str) -> list[tuple[str, str]]:
    """Return kind and source of each cell of a script in percent form, without its header."""
    body = re.sub(r'\A# ---\n.*?\n# ---\n', '', text, flags=re.DOTALL)
    found = []
    for part in re.split(r'^# %%', body, flags=re.MULTILINE)[1:]:
        head, _, source = part.partition('\n')
        kind = 'markdown' if '[markdown]' in head else 'code'
        source = source.strip('\n')
        if kind == 'markdown':
            source = '\n'.join(re.sub(r'^# ?', '', line) for line in source.splitlines())
        found.append((kind, source))
    return found


def tutorial_page(script: Path) -> str:
    """Return a tutorial as Markdown, with a link to its notebook below the title."""
    parts = [
        source if kind == 'markdown' else f'```python\n{source}\n```'
        for kind, source in cells(script.read_text(encoding='utf-8'))
    ]
    title, _, rest = parts[0].partition('\n')
    note = f'Script: `docs/tutorials/{script.name}`; [notebook]({script.stem}.ipynb). The tests run it.'
    return '\n\n'.join([title, note, rest.strip(), *parts[1:]]) + '\n'
