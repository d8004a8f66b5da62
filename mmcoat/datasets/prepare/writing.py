"""Write all files of a data set before any is put in place; replace only files that an earlier call wrote."""

import json
import shutil
from pathlib import Path
from types import TracebackType

from .common import PrepareError

RECORD = 'prepared.json'  # lists the files of a data set that this package wrote
MARK = '# Written by tools/prepare_dataset.py'


class Writer:
    """A folder whose files are put in place only after all of them are written.

    Files are written to ``OUT/.new``. At the end of the ``with`` block they are moved; an error deletes them.

    Args:
        out: The folder.
        overwrite: Replace the files of an earlier data set, but only those in its record.

    Raises:
        PrepareError: The folder holds a file that may not be replaced.
    """

    def __init__(self, out: Path, overwrite: bool):
        self.out, self.new = out, out / '.new'
        self.old = self._recorded()
        if out.exists() and not out.is_dir():
            raise PrepareError(f'{out} is not a folder')
        if self.old is None and out.is_dir() and any(p != self.new for p in out.iterdir()):
            raise PrepareError(
                f'{out} holds files that this tool did not write; choose another --out'
            )
        if self.old is not None and not overwrite:
            raise PrepareError(f'{out} holds a prepared data set; --overwrite replaces it')

    def _recorded(self) -> list[str] | None:
        path = self.out / RECORD
        if not path.is_file():
            return None
        try:
            files = json.loads(path.read_text(encoding='utf-8'))['files']
        except (ValueError, KeyError, TypeError):
            raise PrepareError(
                f'{path} is damaged: it no longer says what may be replaced'
            ) from None
        return [
            name for name in files if not Path(name).is_absolute() and '..' not in Path(name).parts
        ]

    def __enter__(self) -> 'Writer':
        shutil.rmtree(self.new, ignore_errors=True)  # left by a call that was killed
        self.new.mkdir(parents=True)
        return self

    def place(self, name: str) -> Path:
        """Return the path at which to write the future file ``OUT/name``."""
        path = self.new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def copy(self, source: Path, name: str, link: bool) -> None:
        """Copy a file to ``OUT/name``, or link to it."""
        if link:
            self.place(name).symlink_to(source.resolve())
        else:
            shutil.copyfile(source, self.place(name))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._move()
        finally:
            shutil.rmtree(self.new, ignore_errors=True)

    def _move(self) -> None:
        files = sorted(
            p.relative_to(self.new).as_posix() for p in self.new.rglob('*') if not p.is_dir()
        )
        foreign = [
            name for name in files if name not in (self.old or ()) and (self.out / name).exists()
        ]
        if foreign:
            raise PrepareError(f'{self.out / foreign[0]} was not written by this tool; not touched')
        for name in self.old or ():
            (self.out / name).unlink(missing_ok=True)
        for name in files:
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            (self.new / name).replace(self.out / name)
        record = dict(made_by='mmcoat tools/prepare_dataset.py', files=files)
        (self.out / RECORD).write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
        folders = sorted((p for p in self.out.rglob('*') if p.is_dir()), reverse=True)
        for folder in folders:
            if folder != self.new and self.new not in folder.parents and not any(folder.iterdir()):
                folder.rmdir()  # empty after the replacement


def check_config_place(path: Path, overwrite: bool) -> None:
    """Refuse to write over a config, unless an earlier call wrote it and ``overwrite`` is given.

    Raises:
        PrepareError: The config may not be replaced.
    """
    if not path.exists():
        return
    ours = path.is_file() and path.read_text(encoding='utf-8', errors='replace').startswith(MARK)
    if not ours:
        raise PrepareError(f'{path} was not written by this tool; choose another --config')
    if not overwrite:
        raise PrepareError(f'{path} exists; --overwrite replaces it')
