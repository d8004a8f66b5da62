"""MMEngine's access to local files, with files that are complete or do not exist."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmcoat.checkpoints.atomic import write_whole

BACKEND = 'mmcoat_atomic'


@register_backend(BACKEND, force=True)
class AtomicBackend(LocalBackend):
    """MMEngine's access to local files, with whole files only."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj``; a reader sees the old file or the new one, never a part."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_whole(obj, filepath)
