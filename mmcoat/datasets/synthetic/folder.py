"""The folder of a drawn set: a manifest lists the drawn files, and only those are ever deleted."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmcoat.errors import UsageError

MANIFEST = '.mmcoat_synthetic.json'


class FolderInUseError(UsageError):
    """The folder contains files that drawing would overwrite."""


def prepare_folder(root: Path, layout: str, files: Sequence[str], overwrite: bool) -> None:
    """Make the folders of a set, and write its manifest before any of its files.

    Args:
        root: The folder; new or empty, or with ``overwrite`` one that holds a drawn set.
        layout: ``ade20k`` or ``coco``.
        files: All files that will be written, relative to ``root``.
        overwrite: Whether to delete an earlier drawn set of this layout.

    Raises:
        FolderInUseError: The folder has files that were not drawn, or a set of the other layout.
    """
    if root.exists() and not root.is_dir():
        raise FolderInUseError(f'{root} is not a folder')
    if root.is_dir() and any(root.iterdir()):
        if not overwrite:
            raise FolderInUseError(
                f'{root} is not empty: choose a new folder, or --overwrite the drawn set in it'
            )
        _remove(root, layout, {name.split('/')[0] for name in files})
    for folder in {(root / name).parent for name in files}:
        folder.mkdir(parents=True, exist_ok=True)
    _write(root, layout, files)


def add_file(root: Path, path: Path) -> None:
    """Add a file to the manifest if ``root`` holds a drawn set and the file is in it."""
    layout, files = _read(root)
    if layout is not None and path.parent == root:
        _write(root, layout, files | {path.name})


def _remove(root: Path, layout: str, names: set[str]) -> None:
    """Delete the files in the manifest, after a check of everything in the folders that the set uses."""
    drawn, ours = _read(root)
    if drawn not in (None, layout):
        raise FolderInUseError(
            f'{root} holds a drawn set of layout {drawn}, not {layout}: choose another folder'
        )
    names |= {name.split('/')[0] for name in ours} | {MANIFEST, 'preview.png'}
    # Files behind a link do not belong to the set, whatever their names; rglob does not follow links.
    inside = [path for path in root.rglob('*') if path.relative_to(root).parts[0] in names]
    files = [path for path in inside if path.is_symlink() or not path.is_dir()]
    foreign = sorted(
        str(path)
        for path in files
        if path.is_symlink() or path.relative_to(root).as_posix() not in ours
    )
    if foreign:
        first = ', '.join(foreign[:3]) + (', ...' if len(foreign) > 3 else '')
        raise FolderInUseError(
            f'{len(foreign)} files in the way were not drawn by mmcoat: {first}. '
            'Nothing was deleted; move them away or choose another folder'
        )
    for path in files:
        path.unlink()
    for path in sorted(inside, reverse=True):  # files come before their folder
        if path.is_dir():
            path.rmdir()


def _read(root: Path) -> tuple[str | None, set[str]]:
    """Return the layout and the files in the manifest; None and no files if there is no manifest."""
    path = root / MANIFEST
    if not path.is_file():
        return None, set()
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        return str(content['layout']), {str(name) for name in content['files']} | {MANIFEST}
    except (ValueError, KeyError, TypeError):
        raise FolderInUseError(
            f'{path} is damaged, so that drawn files and others cannot be told apart: '
            'choose another folder'
        ) from None


def _write(root: Path, layout: str, files: Iterable[str]) -> None:
    content = {'layout': layout, 'files': sorted(files)}
    (root / MANIFEST).write_text(json.dumps(content, indent=0) + '\n', encoding='utf-8')
