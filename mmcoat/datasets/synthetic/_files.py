"""What both data sets share: checks, folders, pictures, and the note that says how it was made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

GENERATOR_VERSION = '1.0'
INFO_NAME = 'dataset_info.json'
MIN_SIDE, MAX_SIDE = 64, 2048
MAX_IMAGES = 99999999  # eight digits in ADE20K's file names
JPEG_QUALITY = 92

Progress = Callable[[int, int], None]
"""Called after each picture with the number done and the number wanted."""


def check_request(train: int, val: int, size: tuple[int, int], seed: int) -> None:
    """Checks what was asked for before anything is written.

    Args:
        train: Number of training images.
        val: Number of validation images.
        size: Width and height in pixels.
        seed: Seed.

    Raises:
        ValueError: Where one of them is out of range.
    """
    for name, count in (('train', train), ('val', val)):
        if not 1 <= count <= MAX_IMAGES:
            raise ValueError(f'{name} must be from 1 to {MAX_IMAGES}, not {count}')
    if len(size) != 2 or not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise ValueError(
            f'size must be a width and a height from {MIN_SIDE} to {MAX_SIDE} pixels, not {size}'
        )
    if seed < 0:
        raise ValueError(f'seed must be 0 or more, not {seed}')


def prepare_folder(root: Path, layout: str, overwrite: bool) -> None:
    """Makes an empty folder, and removes an earlier synthetic data set where that is allowed.

    Args:
        root: The folder.
        layout: ``ade20k`` or ``coco``; a set of the other one stays.
        overwrite: Whether a synthetic data set there may be replaced.

    Raises:
        ValueError: Where the folder holds anything else, or is not a folder.
    """
    if root.exists() and not root.is_dir():
        raise ValueError(f'{root} is not a folder')
    if root.is_dir() and any(root.iterdir()):
        if not overwrite:
            raise ValueError(f'{root} is not empty; choose another folder or overwrite it')
        # A real ADE20K or COCO has the same folders: replace only what this module has written.
        try:
            made_here = json.loads((root / INFO_NAME).read_text(encoding='utf-8')).get('synthetic')
        except (OSError, ValueError):
            made_here = None
        if not made_here:
            raise ValueError(f'{root} holds files that this generator did not write; not touched')
        if made_here != layout:
            raise ValueError(f'{root} holds a set of layout {made_here}, not {layout}; not touched')
        for name in ('images', 'annotations', 'train2017', 'val2017'):
            shutil.rmtree(root / name, ignore_errors=True)
        for name in ('preview.png', 'objectInfo150.txt', 'README.md'):
            (root / name).unlink(missing_ok=True)
    root.mkdir(parents=True, exist_ok=True)


def write_info(root: Path, info: dict[str, object]) -> None:
    """Writes the note that says how a data set was made.

    It is written when the work begins too, with `complete` false, so that a run that was broken
    off can be told from a finished one and overwritten.
    """
    text = json.dumps({'generator_version': GENERATOR_VERSION, **info}, indent=2)
    (root / INFO_NAME).write_text(text + '\n', encoding='utf-8')


def write_readme(root: Path, title: str, info: dict[str, object]) -> None:
    """Writes a README for whoever finds the folder."""
    width, height = info['size']
    lines = [
        f'# {title}',
        '',
        'Drawn by `tools/make_synthetic_dataset.py` of mmcoat: no photograph, no real person.',
        'It has the layout of the real data set, to try training and testing without it;',
        'scores on it say nothing about scores on the real one.',
        '',
        f'- images: {info["train"]} for training, {info["val"]} for validation, {width}x{height}',
        f'- seed: {info["seed"]}, generator version: {GENERATOR_VERSION}',
        f'- classes drawn: {", ".join(info["classes"])}',
        '',
    ]
    (root / 'README.md').write_text('\n'.join(lines), encoding='utf-8')


def scene_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """Returns the generator of one picture: the same for any number and order of pictures."""
    return np.random.default_rng([seed, ('train', 'val').index(split), index])


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Writes an (H, W, 3) uint8 RGB picture."""
    write_image(path, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def write_image(path: Path, image: np.ndarray, options: list[int] | None = None) -> None:
    """Writes an (H, W) or (H, W, 3) BGR uint8 picture in the format of the file's suffix."""
    # imwrite returns False and raises nothing where the disk is full or the path is not ASCII.
    done, data = cv2.imencode(path.suffix, image, options or [])
    if not done:
        raise ValueError(f'cannot encode {path}')
    path.write_bytes(data.tobytes())


def read_image(path: Path, flag: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Reads a picture, BGR or as the flag says.

    Raises:
        ValueError: Where there is none.
    """
    image = None
    if path.is_file():
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag)
    if image is None:
        raise ValueError(f'{path} is not a readable picture')
    return image
