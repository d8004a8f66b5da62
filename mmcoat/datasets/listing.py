"""List a folder of images as MMEngine does, and also the files that it silently ignores."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PICTURES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


@dataclass
class Listing:
    """Names relative to a folder, sorted.

    Attributes:
        files: Files that the data set reads: those that end in the suffix.
        others: Pictures with another ending, such as ``.JPG`` instead of ``.jpg``.
        hidden: Names with the suffix that begin with a dot; macOS writes such files (``._name.jpg``).
        not_files: Folders and dangling links with the suffix.
    """

    files: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    not_files: list[str] = field(default_factory=list)


def list_pictures(folder: str | Path, suffix: str) -> Listing:
    """List a folder and its subfolders.

    Args:
        folder: Where to look.
        suffix: Ending of the file names, for example ``.jpg`` or ``_leftImg8bit.png``; upper and lower case
            are different, as for OpenMMLab's data sets.
    """
    found = Listing()
    ending = os.path.splitext(suffix)[1]
    for entry, name in _walk(os.fspath(folder), ''):
        if entry.name.endswith(suffix) and not entry.is_file():
            found.not_files.append(name)
        elif not entry.is_file():
            continue
        elif entry.name.endswith(suffix):
            (found.hidden if entry.name.startswith('.') else found.files).append(name)
        elif not entry.name.startswith('.'):
            own = os.path.splitext(entry.name)[1]
            if own != ending and own.lower() in PICTURES:
                found.others.append(name)
    for names in (found.files, found.others, found.hidden, found.not_files):
        names.sort()
    return found


def _walk(folder: str, prefix: str) -> Iterator[tuple[os.DirEntry, str]]:
    """Yield everything under a folder; links to folders are followed, as in MMEngine."""
    for entry in os.scandir(folder):
        name = f'{prefix}{entry.name}'
        yield entry, name
        if entry.is_dir():
            yield from _walk(entry.path, f'{name}/')
