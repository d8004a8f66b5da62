"""List a folder of images as MMEngine does, and what it passes over in silence."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PICTURES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


@dataclass
class Listing:
    """Names relative to a folder, sorted.

    Attributes:
        files: What a data set takes: files that end in the suffix.
        others: Pictures with another ending, such as ``.JPG`` beside ``.jpg``.
        hidden: Names with the suffix that begin with a dot; macOS leaves ``._name.jpg``.
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
        suffix: How the names of the files end, for example ``.jpg`` or ``_leftImg8bit.png``; upper and
            lower case differ, as they do for the data sets of OpenMMLab.
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
    """Yield all that lies under a folder; links to folders are followed, as MMEngine does."""
    for entry in os.scandir(folder):
        name = f'{prefix}{entry.name}'
        yield entry, name
        if entry.is_dir():
            yield from _walk(entry.path, f'{name}/')
