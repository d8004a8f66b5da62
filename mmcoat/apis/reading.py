"""Images as a config's test pipeline reads them: pictures, or bands of any number and range."""

import mmap
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from mmcoat.datasets.images import ImageError, read_channels
from mmcoat.runs.walk import type_name

from . import models, tiff
from .inputs import Source, read_image

IN_MEMORY = 64 * 2**20  # bytes; a larger array goes into a file


class ImageReader:
    """Reads files and arrays as a config's pipeline does, but for EXIF turns.

    Args:
        cfg: Its first transform says how: ``LoadImageFromFile`` reads pictures as 8 bits and three channels,
            ``mmcoat.LoadChannels`` keeps range and number; any other is called as it is.

    Attributes:
        channels: How many the model takes.
        bands: Whether values keep their range, and channels the file's order.
    """

    def __init__(self, cfg: Config):
        step = models.reading_step(cfg)
        model = cfg.model.get('module', cfg.model)  # of a test-time augmentation
        self.channels = model.backbone.get('in_channels', 3)
        kind = type_name(step) or 'LoadImageFromFile'
        self.bands = kind == 'LoadChannels'
        colour = step.get('color_type', 'color') in ('color', 'color_ignore_orientation')
        plain = kind == 'LoadImageFromFile' and colour
        self._other = None if plain or self.bands else TRANSFORMS.build(step)
        self._floats = bool(step.get('to_float32'))

    def __call__(self, source: Source, mapped: bool = False) -> np.ndarray:
        """Return an image, (H, W, channels); three of them in BGR, others in the file's order.

        Args:
            source: A path, or an array of this form.
            mapped: Leave a TIFF or ``.npy`` in its file, where it can be mapped into memory, and unpack a
                compressed TIFF into a temporary file.

        Raises:
            ImageError: It cannot be read, or has other channels than the model takes.
        """
        image = self._read(source, mapped)
        if image.shape[2] != self.channels:
            name = 'an array' if isinstance(source, np.ndarray) else f'image {source}'
            raise ImageError(
                f'{name} has {image.shape[2]} channels, the model takes {self.channels}'
            )
        return image

    def _read(self, source: Source, mapped: bool) -> np.ndarray:
        if isinstance(source, np.ndarray):
            return _checked(source) if self.bands else read_image(source)
        if self._other is not None:
            return self._by_transform(source)
        image = map_file(source, self.channels) if mapped else None
        if not self.bands and image is not None and image.dtype != np.uint8:
            image = None  # OpenCV makes 8 bits of it, as in training
        if image is None and not self.bands:
            return read_image(source)
        if image is None:
            image = read_channels(source, self.channels)
        return image[..., ::-1] if image.shape[2] == 3 else image

    def _by_transform(self, source: str | Path) -> np.ndarray:
        try:
            image = self._other(dict(img_path=str(source)))['img']
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ImageError(f'image {source} cannot be read: {reason}') from None
        return image[..., None] if image.ndim == 2 else image

    def for_pipeline(self, image: np.ndarray) -> np.ndarray:
        """Return an image, or a part of one, in the type that the pipeline's first transform gives."""
        # OpenCV resizes float32, but no int32, and PyTorch knows no big-endian numbers
        keeps = image.dtype == np.uint8 and not self._floats
        return np.ascontiguousarray(image, np.uint8 if keeps else np.float32)


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.dtype.kind not in 'uif' or 0 in image.shape:
        raise ImageError(
            f'an array must be (H, W, channels) of numbers, got {image.dtype} {image.shape}'
        )
    return image


# ---------------------------------------------------------------------- memory


def map_file(path: str | Path, channels: int) -> np.ndarray | None:
    """Return a TIFF or ``.npy`` as a memory map, (H, W, channels) in the file's order.

    None where it is neither, is packed in a way that tifffile alone does not unpack, or has other channels.
    """
    suffix = Path(path).suffix.lower()
    try:
        if suffix == '.npy':
            image = np.load(path, mmap_mode='r', allow_pickle=False)
        else:
            image = _map_tiff(path) if suffix in tiff.SUFFIXES else None
    except (OSError, ValueError, KeyError):
        return None  # the reader of whole files says what is wrong
    if image is None or image.ndim not in (2, 3):
        return None
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[0] == channels != image.shape[2]:  # one band after another
        image = np.moveaxis(image, 0, -1)
    return image if image.shape[2] == channels else None


def _map_tiff(path: str | Path) -> Any:
    try:
        import tifffile
    except ImportError:
        return None
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages[0]
        if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            return None
        if series.dataoffset is None:
            return series.asarray(out='memmap')
    return tifffile.memmap(path, series=0, mode='r')


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return zeros; a large array lies in a temporary file (in ``TMPDIR``) that ends with it."""
    if np.prod(shape) * np.dtype(dtype).itemsize <= IN_MEMORY:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, 'w+', shape=shape)


def release(array: np.ndarray) -> None:
    """Let go of the pages of a memory map: they stay in its file, and come back when they are asked for."""
    if getattr(array, 'mode', 'c') == 'c':  # no map, or one whose changes are nowhere else
        return
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, 'MADV_DONTNEED'):
        base.madvise(mmap.MADV_DONTNEED)
