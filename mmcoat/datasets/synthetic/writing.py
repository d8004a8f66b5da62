"""Code that all layouts share: the order of the work, checks, pictures, and the notes beside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mmcoat.errors import UsageError

from .folder import prepare_folder

GENERATOR_VERSION = '1.0'
INFO, README = 'dataset_info.json', 'README.md'
MIN_SIDE, MAX_SIDE = 64, 2048
MAX_IMAGES = 1_000_000  # the numbers of COCO's validation images begin there
JPEG_QUALITY = 92

Progress = Callable[[int, int], None]
"""Called after each picture with the number done and the number wanted."""


class Layout(Protocol):
    """How a data set's files are named, and what they hold."""

    name: str
    title: str
    classes: tuple[str, ...]
    settings: dict[str, Any]  # settings of the scenes, for the note

    def files(self, split: str, count: int) -> list[str]:
        """Return the paths, relative to the root, of all files of a split."""

    def draw(
        self, root: Path, split: str, index: int, rng: np.random.Generator, size: tuple[int, int]
    ) -> None:
        """Draw one scene and write its files."""

    def finish(self, root: Path) -> dict[str, Any]:
        """Write the files that belong to no single scene; return the note's description of the contents."""


def draw_set(
    layout: Layout,
    root: str | Path,
    train: int,
    val: int,
    size: tuple[int, int],
    seed: int,
    overwrite: bool,
    progress: Progress | None,
) -> dict[str, Any]:
    """Draw a data set.

    A picture depends only on the seed, the split and its number, so a larger data set begins with the
    pictures of a smaller one.

    Args:
        layout: Which files to write.
        root: Folder; new or empty, or with ``overwrite`` one that holds an earlier drawn set.
        train: Number of training images.
        val: Number of validation images.
        size: Width and height in pixels.
        seed: Seed of the scenes.
        overwrite: Whether to delete the files of an earlier drawn set of this layout. Files that were
            not drawn are never deleted: if they are in the way, an error is raised.
        progress: Called after each image with the number done and the number wanted.

    Returns:
        The content of ``dataset_info.json``.

    Raises:
        UsageError: An argument is out of range or the folder is in use.
    """
    _check_request(train, val, size, seed)
    root = Path(root)
    names = [*layout.files('train', train), *layout.files('val', val), INFO, README]
    prepare_folder(root, layout.name, names, overwrite)
    info = {'synthetic': layout.name, 'complete': False, 'seed': seed, 'size': list(size)}
    info |= {'train': train, 'val': val, 'classes': list(layout.classes), **layout.settings}
    _write_info(root, info)  # marked incomplete, so that an interrupted run can be recognised
    pictures = [('train', index) for index in range(train)] + [
        ('val', index) for index in range(val)
    ]
    for done, (split, index) in enumerate(pictures, 1):
        rng = np.random.default_rng([seed, ('train', 'val').index(split), index])
        layout.draw(root, split, index, rng, size)
        if progress is not None:
            progress(done, len(pictures))
    info |= {'complete': True, **layout.finish(root)}
    _write_readme(root, layout.title, info)
    _write_info(root, info)
    return info


def _check_request(train: int, val: int, size: tuple[int, int], seed: int) -> None:
    for name, count in (('train', train), ('val', val)):
        if not 1 <= count <= MAX_IMAGES:
            raise UsageError(f'{name} must be from 1 to {MAX_IMAGES} images, got {count}')
    if len(size) != 2 or not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise UsageError(
            f'size must be a width and a height from {MIN_SIDE} to {MAX_SIDE} pixels, '
            f'got {" ".join(map(str, size))}'
        )
    if seed < 0:
        raise UsageError(f'seed must be 0 or more, got {seed}')


def _write_info(root: Path, info: dict[str, Any]) -> None:
    text = json.dumps({'generator_version': GENERATOR_VERSION, **info}, indent=2)
    (root / INFO).write_text(text + '\n', encoding='utf-8')


def _write_readme(root: Path, title: str, info: dict[str, Any]) -> None:
    """Write a README into the folder."""
    width, height = info['size']
    text = f"""# {title}

Drawn by `tools/make_synthetic_dataset.py` of mmcoat: no photograph, no real person.
It has the layout of the real data set, to try training and testing without it;
scores on it say nothing about scores on the real one.

- images: {info['train']} for training, {info['val']} for validation, {width}x{height}
- seed: {info['seed']}, generator version: {GENERATOR_VERSION}
- classes drawn: {', '.join(info['classes'])}
"""
    (root / README).write_text(text, encoding='utf-8')


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB picture."""
    write_image(path, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def write_image(path: Path, image: np.ndarray, options: list[int] | None = None) -> None:
    """Write an (H, W) or (H, W, 3) BGR uint8 picture in the format of the file's suffix."""
    # imwrite returns False and raises nothing if the disk is full or the path is not ASCII.
    done, data = cv2.imencode(path.suffix, image, options or [])
    if not done:
        raise ValueError(f'cannot encode {path}')
    path.write_bytes(data.tobytes())


def read_image(path: Path, flag: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Read a picture, BGR or as the flag says.

    Raises:
        UsageError: There is no readable picture.
    """
    image = None
    if path.is_file():
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
    if image is None:
        raise UsageError(f'{path} is not a readable picture')
    return image
