"""Read images of any number of channels: pictures, NumPy arrays, TIFF of many bands."""

from pathlib import Path

import cv2
import numpy as np

from mmcoat.errors import UsageError

TIFF = ('.tif', '.tiff')
ARRAYS = ('.npy', *TIFF)  # values of any range, channels in the file's own order


class ImageError(UsageError):
    """An image file is missing, broken, or has the wrong number of channels."""


def read_channels(path: str | Path, channels: int | None = None) -> np.ndarray:
    """Read an image with all of its channels.

    Args:
        path: ``.npy`` of (H, W), (H, W, C) or (C, H, W); TIFF with any number of bands, interleaved or one
            per page; or any picture that OpenCV reads.
        channels: Required number of channels; it also distinguishes (C, H, W) from (H, W, C). With 1, a
            colour picture is read as grey values. None accepts any number.

    Returns:
        (H, W, C), the channels in the file's order: red comes first in a colour picture.

    Raises:
        ImageError: One line with the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f'{path} does not exist')
    try:
        image = _read(path, channels)
    except (OSError, ValueError, EOFError, cv2.error) as error:
        reason = (str(error).splitlines() or [''])[0]
        raise ImageError(f'{path} cannot be read as an image: {reason}') from None
    image = _channels_last(image, channels)
    if image is None or image.ndim != 3:
        raise ImageError(f'{path} cannot be read as an image')
    if channels is not None and image.shape[2] != channels:
        raise ImageError(
            f'{path} has {image.shape[2]} channels, expected {channels} (as many as there are values in mean)'
        )
    return image


def _read(path: Path, channels: int | None) -> np.ndarray | None:
    suffix = path.suffix.lower()
    if suffix == '.npy':
        return np.load(path, allow_pickle=False)
    if suffix in TIFF:
        return _read_tiff(path)
    flag = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}.get(channels or 0, cv2.IMREAD_UNCHANGED)
    return _rgb(cv2.imdecode(np.fromfile(path, np.uint8), flag))


def _read_tiff(path: Path) -> np.ndarray | None:
    try:
        import tifffile
    except ImportError:
        image = _read_pages(path)
        if image is None:
            raise ValueError(
                'OpenCV reads up to 4 interleaved bands; `pip install tifffile imagecodecs` reads any number'
            ) from None
        return image
    try:
        return tifffile.imread(path)
    except ValueError:  # a compression for which it needs imagecodecs
        image = _read_pages(path)
        if image is None:
            raise
        return image


def _read_pages(path: Path) -> np.ndarray | None:
    """Read a TIFF with OpenCV: up to four bands, or one per page."""
    done, pages = cv2.imdecodemulti(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if not done or not pages:
        return None
    return _rgb(pages[0]) if len(pages) == 1 else np.stack(pages, -1)


def _rgb(image: np.ndarray | None) -> np.ndarray | None:
    """OpenCV's BGR or BGRA -> RGB or RGBA."""
    if image is None or image.ndim != 3 or image.shape[2] not in (3, 4):
        return image
    return image[..., [2, 1, 0, 3][: image.shape[2]]]


def _channels_last(image: np.ndarray | None, channels: int | None) -> np.ndarray | None:
    if image is None or image.ndim not in (2, 3):
        return image
    if image.ndim == 2:
        return image[..., None]
    first, last = image.shape[0], image.shape[2]
    # no number is given: take the axis that is much shorter than the sides of a picture
    planar = (first == channels) if channels else (first < 32 <= last)
    return np.moveaxis(image, 0, -1) if planar and last != channels else image
