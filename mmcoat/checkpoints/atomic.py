"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import secrets
from pathlib import Path

_ENDING = '.unfinished'


def write_whole(content: bytes, path: str | Path) -> None:
    """Write beside ``path`` under a name that nobody has, bring it to the disk, and rename it into place.

    Raises:
        OSError: The disk is full, or the folder vanished or is read-only; an earlier ``path`` is as it was.
    """
    path = Path(path)
    draft = path.with_name(f'.{path.name}.{secrets.token_hex(4)}{_ENDING}')
    file = draft.open('xb')  # never a file that is there
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_drafts(folder: str | Path) -> None:
    """Delete what :func:`write_whole` left when its process was killed."""
    for draft in Path(folder).glob(f'.*{_ENDING}'):
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk: without this a power failure can undo it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # systems on which a folder cannot be opened
        return
    try:
        os.fsync(handle)
    except OSError:  # file systems that cannot
        pass
    finally:
        os.close(handle)
