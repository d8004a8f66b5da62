"""Code that all sources and writers share."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcoat.errors import UsageError

IGNORED = 255
IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.npy')
Progress = Callable[[str, int, int], None]
"""Called with the name of the step, the number of items done and their total."""


class PrepareError(UsageError):
    """A source is broken or does not match the arguments; the message is one line with the file."""


@dataclass
class Sample:
    """One image with its labels.

    Args:
        name: Path below the written folders, without suffix.
        image: The image file.
        labels: Function that returns (H, W) uint8: indices into the list of classes, or 255.
        split: ``'train'`` or ``'val'`` if the source defines it.
    """

    name: str
    image: Path
    labels: Callable[[], np.ndarray]
    split: str | None = None


@dataclass
class Request:
    """Where to write, and how.

    Args:
        out: Folder of the data set.
        val: Share of the images for validation, if the source does not define the split.
        seed: Seed of the split.
        channels: Channels of the images; None: three for pictures, as many as the file has for ``.npy`` and
            TIFF.
        link: Link to the images instead of copying them.
        overwrite: Replace the files that an earlier call wrote there, and no other files.
        progress: Called after each file.
    """

    out: Path
    val: float = 0.2
    seed: int = 0
    channels: int | None = None
    link: bool = False
    overwrite: bool = False
    progress: Progress = lambda what, done, total: None


@dataclass
class Summary:
    """Summary of what was written, for the config and for the user.

    Args:
        classes: Names of the classes.         palette: Colours of the classes.
        counts: Images in each split.
        facts: Values of a config's variables.
        notes: Lines for the user.
        pixels: Labelled pixels of each class in the training images.
    """

    classes: Sequence[str]
    palette: list[list[int]]
    counts: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pixels: Sequence[int] = ()


def check_classes(classes: Sequence[str]) -> None:
    """Refuse invalid lists of classes.

    Raises:
        PrepareError: There is no class, a name is empty or repeated, or there are too many for 8-bit label
            maps.
    """
    if not classes or not all(classes) or len(set(classes)) < len(classes):
        raise PrepareError(f'classes must be different names, got {",".join(classes)!r}')
    if len(classes) > IGNORED:
        raise PrepareError(f'{len(classes)} classes: a label map tells {IGNORED} at most')


def assign_splits(names: Sequence[str], val: float, seed: int) -> dict[str, str]:
    """Assign each name to training or validation; each gets at least one.

    Raises:
        PrepareError: The share is not between 0 and 1, or there is only one name.
    """
    if not 0 < val < 1:
        raise PrepareError(f'--val must lie between 0 and 1, got {val}')
    if len(names) < 2:
        raise PrepareError(
            f'{len(names)} image: training and validation need one each, two in all at least'
        )
    count = min(max(1, round(val * len(names))), len(names) - 1)
    chosen = np.random.default_rng(seed).permutation(len(names))[:count]
    held = {sorted(names)[i] for i in chosen}
    return {name: 'val' if name in held else 'train' for name in names}


def files_by_name(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the files below a folder that end in one of ``suffixes``; the keys are the names without suffix.

    Raises:
        PrepareError: The folder does not exist, it has no such file, or two files have the same name.
    """
    if not folder.is_dir():
        raise PrepareError(f'folder {folder} does not exist')
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob('*') if p.is_file()):
        suffix = next((s for s in suffixes if path.name.lower().endswith(s.lower())), None)
        if suffix is None:
            continue
        name = path.relative_to(folder).as_posix()[: -len(suffix)]
        if name in found:
            raise PrepareError(f'{path} and {found[name].name} have the same name without suffix')
        found[name] = path
    if not found:
        raise PrepareError(f'folder {folder} has no file that ends in {" ".join(suffixes)}')
    return found


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        PrepareError: It cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise PrepareError(f'{path} cannot be read as JSON: {error}') from None
