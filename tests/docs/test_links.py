"""Every link of README and the pages leads somewhere; offline, so of other hosts only the form is checked.

``make docs`` looks at links between pages of the site. What it does not see: README and its neighbours, links
out of docs/ (the site shows them as names), pictures in HTML, and addresses.
"""

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.helpers import ROOT

PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')])
CODE = re.compile(r'^(```|~~~).*?^\1\s*$|<!--.*?-->|`[^`\n]*`', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)')
HTML = re.compile(r'<(?:img|a)\b[^>]*?\b(?:src|href)="([^"]+)"')
ANGLE = re.compile(r'<(https?://[^>\s]+)>')
ROOMS = (
    'mmcoat|ops|models|checkpoints|engine|runs|apis|tools|configs|tests|benchmarks|examples|docs'
)
FILE = re.compile(rf'`((?:{ROOMS})/[\w/.]+\.(?:py|sh|json))`')
HEADING = re.compile(r'^#{1,6}\s+(.*?)\s*#*\s*$', re.MULTILINE)


@lru_cache
def prose(path: Path) -> str:
    """Return a page without code, comments and what is quoted as code."""
    return CODE.sub('', path.read_text(encoding='utf-8'))


def targets(path: Path) -> list[str]:
    """Return what a page links to or shows."""
    text = prose(path)
    return [*LINK.findall(text), *HTML.findall(text), *ANGLE.findall(text)]


@lru_cache
def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site name them."""
    text = re.sub(r'^(```|~~~).*?^\1\s*$', '', path.read_text(encoding='utf-8'), flags=re.M | re.S)
    found: set[str] = set(re.findall(r'\bid="([^"]+)"', text))
    for heading in HEADING.findall(text):
        words = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading)
        slug = re.sub(r'[^\w\- ]', '', words.lower()).strip().replace(' ', '-')
        found |= {slug, re.sub(r'-{2,}', '-', slug)}
    return found


def problem(page: Path, target: str) -> str | None:
    """Return what is wrong with a link inside the repository, or None."""
    address, _, anchor = target.partition('#')
    path = (page.parent / unquote(address)).resolve() if address else page
    if ROOT not in (path, *path.parents):
        return f'{target}: outside of the repository'
    if not path.exists():
        return f'{target}: no such file'
    if anchor and path.suffix == '.md' and anchor not in anchors(path):
        return f'{target}: no such heading; there are {sorted(anchors(path))}'
    return None


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_links_inside_the_repository(page):
    inside = [t for t in targets(page) if not urlsplit(t).scheme]
    assert not [text for t in inside if (text := problem(page, t))]


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_files_that_are_named_exist(page):
    """`ops/plain/heads.py` in a text is a file, counted from the checkout, from mmcoat/ or from tests/."""
    named = set(FILE.findall(page.read_text(encoding='utf-8'))) - {'configs/mine.py'}
    places = ROOT, ROOT / 'mmcoat', ROOT / 'tests'
    assert not sorted(n for n in named if not any((place / n).is_file() for place in places))


def test_addresses_of_other_hosts():
    """https, a whole host name, and one spelling of each address."""
    spellings: dict[str, set[str]] = {}
    for page in PAGES:
        for target in targets(page):
            parts = urlsplit(target)
            if not parts.scheme:
                continue
            assert parts.scheme == 'https', f'{page.name}: {target}'
            assert re.fullmatch(r'([a-z0-9-]+\.)+[a-z]{2,}', parts.netloc), f'{page.name}: {target}'
            assert 'OWNER' not in target, f'{page.name}: {target} is a placeholder'
            key = parts.netloc.removeprefix('www.') + parts.path.rstrip('/').removesuffix('.git')
            spellings.setdefault(key.lower(), set()).add(target.partition('#')[0])
    assert len(spellings) > 20
    assert not [s for s in spellings.values() if len(s) > 1]


def test_what_is_wrong_is_found(tmp_path):
    page = ROOT / 'docs' / 'index.md'
    assert problem(page, 'install.md') is None
    assert problem(page, 'install.md#upstream') is None
    assert problem(page, '../README.md#install') is None
    assert problem(page, 'pictures/coat_backbone.svg') is None
    for wrong in ('no.md', 'install.md#no', '../../../etc/passwd', 'pictures/no.png', '#no'):
        assert problem(page, wrong), wrong
    sample = tmp_path / 'a.md'
    sample.write_text(
        '[`a`](b.md) ![x](c.png "t") [![p](d.svg)](e.md) <img width="3" src="f.png">\n'
        '```\n[no](no.md)\n```\n`[no](no.md)` <!-- [no](no.md) --> <https://a.b/c>\n'
    )
    assert sorted(targets(sample)) == ['b.md', 'c.png', 'd.svg', 'e.md', 'f.png', 'https://a.b/c']
