"""Check what a wheel and an sdist hold and say of themselves.

Usage: check_archives.py CHECKOUT WHEEL SDIST
"""

import email
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from email.message import Message
from pathlib import Path

# parts of the checkout that a user of the package does not need
FOREIGN = re.compile(r'(^|/)(tests|benchmarks|docs|\.ci|shared|__pycache__|build|work_dirs)(/|$)')
LINES = ('onedl', 'onedl-seg', 'openmmlab')
EXTRAS = (*LINES, 'classification', 'export', 'explain', 'hub', 'page', 'smp', 'tiff', 'test')
WANTED = ('Programming Language :: Python :: 3.10', 'Development Status ::', 'Topic ::')


def fail(text: str) -> None:
    raise SystemExit(f'[package] {text}')


def missing(wanted: Iterable[str], found: Iterable[str], where: str) -> None:
    """Fail where a file is missing."""
    lost = sorted(set(wanted) - set(found))
    if lost:
        fail(f'{where} lacks {", ".join(lost[:8])}')


def foreign(names: Iterable[str], where: str) -> None:
    """Fail where a file does not belong."""
    odd = sorted(name for name in names if FOREIGN.search(name) or name.endswith('.pyc'))
    if odd:
        fail(f'{where} holds {", ".join(odd[:8])}, which do not belong there')


def tracked(checkout: Path, folder: str, *suffixes: str) -> set[str]:
    """Return the files of a folder of the checkout, as paths from its root."""
    files = (p for p in (checkout / folder).rglob('*') if p.is_file())
    return {p.relative_to(checkout).as_posix() for p in files if p.suffix in suffixes}


def check_metadata(metadata: Message, readme: str) -> None:
    """License, addresses, classifiers, extras, and README as the long description."""
    if metadata['Name'] != 'mmcoat' or not metadata['Summary']:
        fail('no name or summary')
    if 'Apache-2.0' not in (metadata['License-Expression'] or metadata['License'] or ''):
        fail('the license is not named')
    if 'LICENSE' not in metadata.get_all('License-File', []):
        fail('LICENSE is not a license file of the metadata')
    addresses = metadata.get_all('Project-URL', [])
    if len(addresses) < 2 or not all(re.search(r', https://\S+$', a) for a in addresses):
        fail(f'project URLs: {addresses}')
    classifiers = metadata.get_all('Classifier', [])
    for wanted in WANTED:
        if not any(c.startswith(wanted) for c in classifiers):
            fail(f'no classifier {wanted!r}')
    if metadata['Requires-Python'] != '>=3.10':
        fail(f'Requires-Python is {metadata["Requires-Python"]!r}')
    missing(EXTRAS, metadata.get_all('Provides-Extra', []), 'metadata (extras)')
    if metadata['Description-Content-Type'] != 'text/markdown':
        fail('the long description is not marked as Markdown')
    if str(metadata.get_payload()).strip() != readme.strip():
        fail('the long description is not README.md')


def check_wheel(path: Path, checkout: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (info,) = {name.split('/')[0] for name in names if '.dist-info/' in name}
        metadata = email.message_from_bytes(archive.read(f'{info}/METADATA'))
    readme = (checkout / 'README.md').read_text(encoding='utf-8')
    check_metadata(metadata, readme)
    modules = tracked(checkout, 'mmcoat', '.py', '.typed')
    mim = tracked(checkout, 'configs', '.py', '.yml', '.json')
    mim |= tracked(checkout, 'tools', '.py', '.sh') | {'model-index.yml'}
    files = modules | {f'mmcoat/.mim/{name}' for name in mim} | {f'{info}/licenses/LICENSE'}
    missing(files, names, 'the wheel')
    odd = [n for n in names if n not in files and not n.startswith(f'{info}/')]
    if odd:
        fail(f'the wheel holds {", ".join(odd[:8])}, which the checkout has not')
    foreign((n for n in names if not n.startswith('mmcoat/.mim/')), 'the wheel')


def check_sdist(path: Path, checkout: Path) -> None:
    with tarfile.open(path) as archive:
        names = [m.name.split('/', 1)[1] for m in archive.getmembers() if m.isfile()]
    foreign(names, 'the sdist')
    files = {'LICENSE', 'README.md', 'CHANGELOG.md', 'setup.cfg', 'setup.py', 'pyproject.toml'}
    files |= tracked(checkout, 'mmcoat', '.py', '.typed') | tracked(checkout, 'tools', '.py', '.sh')
    files |= tracked(checkout, 'configs', '.py', '.yml', '.json')
    missing(files, names, 'the sdist')


def main() -> None:
    checkout, wheel, sdist = map(Path, sys.argv[1:])
    check_wheel(wheel, checkout)
    check_sdist(sdist, checkout)


if __name__ == '__main__':
    main()
