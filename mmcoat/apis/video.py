"""Videos: frames in, frames with results out."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from .inputs import ImageError

SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm')


def is_video(path: str | Path) -> bool:
    """Return whether a path is a video, by its suffix."""
    return Path(path).suffix.lower() in SUFFIXES


class VideoReader:
    """The frames of a file, one after another.

    Args:
        path: A file that this build of OpenCV can decode.

    Attributes:
        fps: Frames per second.
        count: Number of frames according to the file, 0 if it does not state it.

    Raises:
        ImageError: It is missing, or not a video that OpenCV reads.
    """

    def __init__(self, path: str | Path):
        if not Path(path).is_file():
            raise ImageError(f'video {path} does not exist')
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ImageError(f'video {path} is damaged, or of a format that OpenCV does not read')
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames, (H, W, 3) uint8 in BGR."""
        try:
            while True:
                there, frame = self._capture.read()
                if not there:
                    return
                yield frame
        finally:
            self._capture.release()


class VideoWriter:
    """Writes frames to an MP4 file; the size is the first frame's, others are cut or padded to it.

    It writes a temporary file and renames it at the end, so that an interrupted run leaves no incomplete
    video.

    Args:
        path: The file, ``.mp4``.
        fps: Frames per second.
    """

    def __init__(self, path: str | Path, fps: float):
        self.path, self.fps = Path(path), fps
        self._part = self.path.with_name(f'.{self.path.stem}.part.mp4')
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> 'VideoWriter':
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, picture: np.ndarray) -> None:
        """Append a frame, (H, W, 3) RGB, uint8.

        Raises:
            ImageError: OpenCV cannot write MP4 files here.
        """
        if self._writer is None:
            self._size = picture.shape[:2]
            code = cv2.VideoWriter.fourcc(*'mp4v')
            self._writer = cv2.VideoWriter(str(self._part), code, self.fps, self._size[::-1])
            if not self._writer.isOpened():
                raise ImageError(f'this build of OpenCV cannot write {self.path}')
        self._writer.write(_fitted(picture, self._size)[..., ::-1].copy())

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None and self._writer is not None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    canvas = np.full((*size, 3), 255, np.uint8)
    part = picture[: size[0], : size[1]]
    canvas[: part.shape[0], : part.shape[1]] = part
    return canvas
