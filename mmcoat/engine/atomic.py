"""Files that are complete or do not exist, whatever happens while they are written."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

BACKEND = 'mmcoat_atomic'
_ENDING = '.unfinished'


def write_whole(content: bytes, path: str | Path) -> None:
    """Write a temporary file beside ``path``, flush it to the disk, and rename it.

    Raises:
        OSError: The disk is full, or the folder vanished or is read-only; an existing ``path`` does not
            change.
    """
    path = Path(path)
    draft = path.with_name(f'.{path.name}{_ENDING}')
    try:
        with draft.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_drafts(folder: str | Path) -> None:
    """Delete files that :func:`write_whole` left when its process was killed."""
    for draft in Path(folder).glob(f'.*{_ENDING}'):
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk; without this a power failure can undo it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # systems on which a folder cannot be opened
        return
    try:
        os.fsync(handle)
    except OSError:  # file systems that cannot flush folders
        pass
    finally:
        os.close(handle)


@register_backend(BACKEND, force=True)
class AtomicBackend(LocalBackend):
    """MMEngine's access to local files, but it writes only complete files."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj``; a reader sees the old file or the new one, never a part."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_whole(obj, filepath)
