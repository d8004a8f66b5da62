"""The inputs of an inferencer: paths, folders, patterns, arrays, and lists of them."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from mmcoat.datasets.images import ImageError

from . import tiff

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
Source: TypeAlias = str | Path | np.ndarray


def find_images(inputs: Any) -> list[Source]:
    """Return the images of ``inputs``, in order; those of folders and patterns are sorted by name.

    Args:
        inputs: An image as an array (H, W, 3) in BGR, as OpenCV reads it; a path; a folder, whose images are
            taken without its subfolders; a pattern such as ``'photos/*.jpg'``; or a sequence of these.

    Raises:
        ImageError: A path does not exist, a folder has no image, or a pattern fits nothing.
    """
    if isinstance(inputs, np.ndarray):
        return [inputs]
    if isinstance(inputs, str | Path):
        return list(_expand(inputs))
    if isinstance(inputs, Sequence):
        return [image for item in inputs for image in find_images(item)]
    raise ImageError(f'an image is a path or an array, got {type(inputs).__name__}')


def _expand(source: str | Path) -> Iterator[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(path.iterdir())
        found = [p for p in files if _is_image(p)] or [p for p in files if p.suffix == '.npy']
        if not found:
            raise ImageError(f'folder {path} has no image ({", ".join(SUFFIXES)})')
        yield from found
    elif path.exists():
        yield path
    elif glob.has_magic(str(path)):
        matches = sorted(p for p in map(Path, glob.glob(str(path), recursive=True)) if p.is_file())
        if not matches:
            raise ImageError(f'no file fits the pattern {path}')
        yield from matches
    else:
        raise ImageError(f'image {path} does not exist')


def _is_image(path: Path) -> bool:
    """Return whether a file in a folder is an image; macOS's ``._name.jpg`` files are not."""
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith('.')


def read_image(source: Source) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 in BGR; grey images are repeated, EXIF rotation is ignored.

    OpenCV reduces 16 bits to 8, as it does for MMCV's ``LoadImageFromFile`` in training.

    MMCV's pipelines rotate images by their EXIF entry, but not the label maps. Here pixels keep their
    positions in the file, so that results fit the file.

    Raises:
        ImageError: The image cannot be read, or an array has another form.
    """
    if isinstance(source, np.ndarray):
        if source.ndim == 2:
            source = np.repeat(source[..., None], 3, axis=2)
        if source.ndim != 3 or source.dtype != np.uint8 or 0 in source.shape:
            raise ImageError(
                f'an array must be (H, W, channels) of uint8, got {source.dtype} {source.shape}'
            )
        return source
    _check_bands(Path(source))
    try:
        data = np.fromfile(source, np.uint8)
    except OSError as error:
        raise ImageError(f'image {source} cannot be opened: {error.strerror}') from None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise ImageError(f'image {source} is damaged, or of a format that OpenCV does not read')
    return image


def _check_bands(path: Path) -> None:
    """Refuse a TIFF of many bands, of which OpenCV would take the first ones."""
    channels = tiff.count_channels(path) if path.suffix.lower() in tiff.SUFFIXES else None
    if channels is not None and (channels == 2 or channels > 4):
        raise ImageError(
            f'image {path} has {channels} channels, the config reads pictures of 3; one whose pipeline '
            'begins with mmcoat.LoadChannels takes others'
        )


def name_of(source: Source, index: int) -> str:
    """Return the stem under which an image's results are saved."""
    return f'image_{index:05d}' if isinstance(source, np.ndarray) else Path(source).stem
