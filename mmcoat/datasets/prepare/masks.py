"""Read masks in their common forms: indices, palettes, colours, 0 and 255."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .common import IGNORED, PrepareError


@dataclass
class MaskCode:
    """Translate the values of masks into classes.

    Args:
        classes: Names of the classes; the values of an index mask are indices into this list.
        colors: RGB of each class, for masks that are coloured pictures.
        ignore: Values, or colours, that mean no class.
        zero_unlabelled: 0 means no class, and 1 the first class.

    Attributes:
        binary: Masks of two classes hold 0 and 255; set by :meth:`look_at`.
        palette: Colours of palette PNGs; set by :meth:`look_at`.
    """

    classes: Sequence[str]
    colors: Sequence[Sequence[int]] | None = None
    ignore: Sequence[int | Sequence[int]] = ()
    zero_unlabelled: bool = False
    binary: bool = False
    palette: list[list[int]] | None = None
    _values: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.colors is not None and len(self.colors) != len(self.classes):
            raise PrepareError(f'{len(self.colors)} colors for {len(self.classes)} classes')

    def look_at(self, path: Path) -> None:
        """Record a mask's values; only all masks together show whether they hold nothing but 0 and 255."""
        mask, palette = read_mask(path, as_colors=self.colors is not None)
        if mask.ndim == 2:
            self._values |= set(np.unique(mask).tolist())
            named = None if palette is None else palette[: len(self.classes)]
            if self.palette is None and named is not None and len(named) == len(self.classes):
                self.palette = named
        elif self.colors is None:
            raise PrepareError(
                f'{path} is a coloured picture: say with --colors which colour is which'
            )
        alone = len(self.classes) == 2 and not self.zero_unlabelled and not self.ignore
        self.binary = alone and IGNORED in self._values and self._values <= {0, IGNORED}

    def decode(self, path: Path) -> np.ndarray:
        """Return (H, W) uint8: indices into ``classes``, 255 for no class.

        Raises:
            PrepareError: The mask cannot be read, or it holds a value that is not a class.
        """
        mask, _ = read_mask(path, as_colors=self.colors is not None)
        table = self._color_table() if mask.ndim == 3 else self._value_table()
        if mask.ndim == 3:
            mask = mask.astype(np.int64) @ (1 << 16, 1 << 8, 1)
        values, inverse = np.unique(mask, return_inverse=True)
        places = [table.get(int(value), -1) for value in values]
        if -1 in places:
            self._complain(path, int(values[places.index(-1)]), mask, self.colors is not None)
        return np.array(places, np.uint8)[inverse].reshape(mask.shape)

    def _color_table(self) -> dict[int, int]:
        colors = {_number(color): i for i, color in enumerate(self.colors or ())}
        return {_number(c): IGNORED for c in self.ignore if not isinstance(c, int)} | colors

    def _value_table(self) -> dict[int, int]:
        count = len(self.classes)
        if self.binary:
            return {0: 0, IGNORED: 1}
        table = {IGNORED: IGNORED, **{i + self.zero_unlabelled: i for i in range(count)}}
        if self.zero_unlabelled:
            table[0] = IGNORED
        return table | {value: IGNORED for value in self.ignore if isinstance(value, int)}

    def _complain(self, path: Path, value: int, mask: np.ndarray, colored: bool) -> None:
        pixels = int((mask == value).sum())
        shown = f'the color {value:06x}' if colored else f'the value {value}'
        start = int(self.zero_unlabelled)
        known = (
            'which is in neither --colors nor --ignore'
            if colored
            else f'but the {len(self.classes)} classes have the values {start} to '
            f'{start + len(self.classes) - 1} (--ignore {value} leaves it out)'
        )
        lossy = (
            '; a JPEG blurs labels, PNG keeps them'
            if path.suffix.lower() in ('.jpg', '.jpeg')
            else ''
        )
        raise PrepareError(f'{path} holds {shown} in {pixels} pixels, {known}{lossy}')


def read_mask(path: Path, as_colors: bool) -> tuple[np.ndarray, list[list[int]] | None]:
    """Read a mask.

    Args:
        path: File.
        as_colors: Return colours; the indices of a palette become colours too.

    Returns:
        (H, W) values or (H, W, 3) colours, and the palette of a palette PNG. A picture whose three channels
        are equal counts as values.

    Raises:
        PrepareError: It cannot be read.
    """
    try:
        if path.suffix.lower() == '.npy':
            return _flat(np.load(path, allow_pickle=False), path), None
        with Image.open(path) as file:
            palette = None
            if file.mode == 'P':
                palette = np.reshape(file.getpalette('RGB'), (-1, 3)).tolist()
            if as_colors or file.mode not in ('P', 'L', '1', 'I', 'I;16'):
                file = file.convert('RGB')
            mask = np.asarray(file)
    except (OSError, ValueError, EOFError) as error:
        raise PrepareError(f'{path} cannot be read as a mask: {error}') from None
    if mask.ndim == 3 and not as_colors and (mask == mask[..., :1]).all():
        mask = mask[..., 0]
    return mask.astype(np.int64) if mask.dtype == bool else mask, palette


def _flat(mask: np.ndarray, path: Path) -> np.ndarray:
    mask = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise PrepareError(f'{path} is no (H, W) array of integers: {mask.shape} {mask.dtype}')
    return mask


def _number(color: Sequence[int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
