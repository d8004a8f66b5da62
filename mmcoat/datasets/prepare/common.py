"""What every source and every writer shares."""

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
"""Called with what is being done, how many are done and how many there are."""


class PrepareError(UsageError):
    """A source is broken or does not fit what was said of it; the message is one line with the file."""


@dataclass
class Sample:
    """One image with its labels.

    Args:
        name: Below the folders that are written, without suffix.
        image: File.
        labels: Returns (H, W) uint8: a class's place in the list of classes, or 255.
        split: ``'train'`` or ``'val'`` where the source says it.
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
        val: Share of the images that are kept for validation, where the source does not say.
        seed: Of the split.
        channels: Of the images; None: three for pictures, what is there for ``.npy`` and TIFF.
        link: Link to the images instead of copying them.
        overwrite: Replace what an earlier call has written there, and nothing else.
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
    """What was written, for the config and for the user.

    Args:
        classes: Their names.
        palette: Their colours.
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
    """Refuse classes that cannot be.

    Raises:
        PrepareError: None, an empty or a repeated name, or more than label maps of 8 bits can tell.
    """
    if not classes or not all(classes) or len(set(classes)) < len(classes):
        raise PrepareError(f'classes must be different names, got {",".join(classes)!r}')
    if len(classes) > IGNORED:
        raise PrepareError(f'{len(classes)} classes: a label map tells {IGNORED} at most')


def assign_splits(names: Sequence[str], val: float, seed: int) -> dict[str, str]:
    """Say of each name whether it is for training or validation; at least one for each.

    Raises:
        PrepareError: The share is not between 0 and 1, or there is one name only.
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
    """Return the files below a folder that end in one of ``suffixes``, by their names without it.

    Raises:
        PrepareError: No such folder, no such file, or two files of one name.
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
    """Return what a JSON file holds.

    Raises:
        PrepareError: It cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise PrepareError(f'{path} cannot be read as JSON: {error}') from None
