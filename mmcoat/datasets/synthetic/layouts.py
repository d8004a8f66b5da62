"""Write the scenes of the drawn ADE20K in the layouts of other segmentation data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmcoat.errors import UsageError

from .scenes import STREET_CLASSES, street_scene
from .writing import Progress, draw_set, write_image, write_jpeg

IGNORED = 255


@dataclass(frozen=True)
class SceneLayout:
    """The file paths of a data set, and the values of its label maps.

    Attributes:
        image: Path of an image under the root, with {split} and {name}.
        label: Path of its label map.
        splits: The set's names for its training part and its validation part.
        values: Label values of those classes in `STREET_CLASSES` that the set has.
        other: Label value of everything else.
        listing: Path of the text file with a split's names, or None if each split is a folder.
    """

    image: str
    label: str
    splits: tuple[str, str]
    values: Mapping[str, int]
    other: int
    listing: str | None = None


_TILES = dict(
    image='img_dir/{split}/{name}.png',
    label='ann_dir/{split}/{name}.png',
    splits=('train', 'val'),
)
LAYOUTS = {
    'cityscapes': SceneLayout(
        image='leftImg8bit/{split}/drawn/{name}_leftImg8bit.png',
        label='gtFine/{split}/drawn/{name}_gtFine_labelTrainIds.png',
        splits=('train', 'val'),
        values=dict(
            road=0, sidewalk=1, building=2, tree=8, grass=9, earth=9, sky=10, person=11, car=13
        ),
        other=IGNORED,
    ),
    'voc': SceneLayout(  # as in the real set, `aug` lists images that are not in the training split
        image='JPEGImages/{name}.jpg',
        label='SegmentationClass{suffix}/{name}.png',
        splits=('train', 'val'),
        values=dict(car=7, person=15),
        other=0,
        listing='ImageSets/Segmentation/{split}.txt',
    ),
    'pascal_context': SceneLayout(
        image='JPEGImages/{name}.jpg',
        label='SegmentationClassContext/{name}.png',
        splits=('train', 'val'),
        values=dict(
            building=11,
            car=14,
            grass=29,
            earth=30,
            mountain=35,
            person=37,
            road=41,
            sidewalk=45,
            sky=47,
            tree=53,
            water=57,
        ),
        other=0,
        listing='ImageSets/SegmentationContext/{split}.txt',
    ),
    'coco_stuff': SceneLayout(
        image='images/{split}/{name}.jpg',
        label='annotations/{split}/{name}_labelTrainIds.png',
        splits=('train2017', 'val2017'),
        values=dict(
            person=0,
            car=2,
            building=84,
            earth=99,
            grass=112,
            mountain=123,
            sidewalk=128,
            road=137,
            sky=145,
            tree=157,
            water=166,
        ),
        other=IGNORED,
    ),
    'loveda': SceneLayout(
        values=dict(building=2, road=3, water=4, earth=5, tree=6, grass=7), other=1, **_TILES
    ),
    'potsdam': SceneLayout(
        values=dict(road=1, sidewalk=1, building=2, grass=3, tree=4, car=5), other=6, **_TILES
    ),
    'drive': SceneLayout(  # no vessels: trees and people take their place as the foreground
        image='images/{split}/{name}.png',
        label='annotations/{split}/{name}_manual1.png',
        splits=('training', 'validation'),
        values=dict(tree=1, person=1),
        other=0,
    ),
    'drive_multilabel': SceneLayout(  # bits: mask 0 is living things, mask 1 is road users
        image='images/{split}/{name}.png',
        label='annotations/{split}/{name}_manual1.png',
        splits=('training', 'validation'),
        values=dict(tree=1, car=2, person=3),
        other=0,
    ),
}
"""The layouts by the name that `make_layout` takes."""


def make_layout(
    root: str | Path,
    layout: str,
    train: int = 200,
    val: int = 40,
    size: tuple[int, int] = (160, 128),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a drawn data set in one of the ``LAYOUTS``; its pictures are those of ``make_ade20k``.

    Args:
        layout: Name of the layout; the other arguments are those of :func:`.writing.draw_set`.

    Raises:
        UsageError: An argument is out of range or the folder is in use.
    """
    if layout not in LAYOUTS:
        raise UsageError(f'layout must be one of {sorted(LAYOUTS)}, got {layout!r}')
    writer = _Writer(layout, LAYOUTS[layout])
    return draw_set(writer, root, train, val, size, seed, overwrite, progress)


def label_values(spec: SceneLayout) -> dict[str | None, int]:
    """Return the label value of every class; the key None has the value of pixels without class."""
    return {name: spec.values.get(name, spec.other) for name in (*STREET_CLASSES, None)}


class _Writer:
    """Street scenes in the files of a layout."""

    settings: dict[str, Any] = {}

    def __init__(self, name: str, spec: SceneLayout):
        self.name, self.spec = name, spec
        self.title = f'Synthetic scenes in the layout of {name}'
        self.classes = tuple(name for name in STREET_CLASSES if name in spec.values)
        self.lists: dict[str, list[str]] = {}

    def files(self, split: str, count: int) -> list[str]:
        names = [_name(split, index) for index in range(count)]
        if self.spec.listing is not None:
            for part, members in self._parts(split, names).items():
                self.lists[self.spec.listing.format(split=part)] = members
        pairs = [path for name in names for path in self._paths(split, name)]
        return pairs + [path for path in self.lists if path not in pairs]

    def draw(
        self, root: Path, split: str, index: int, rng: np.random.Generator, size: tuple[int, int]
    ) -> None:
        scene = street_scene(rng, *size)
        image, label = (root / path for path in self._paths(split, _name(split, index)))
        if image.suffix == '.jpg':
            write_jpeg(image, scene.image)
        else:
            write_image(image, scene.image[..., ::-1])
        write_image(label, scene.label_map(label_values(self.spec)).astype(np.uint8))

    def finish(self, root: Path) -> dict[str, Any]:
        for path, members in self.lists.items():
            (root / path).write_text(''.join(f'{name}\n' for name in members), encoding='utf-8')
        return {}

    def _paths(self, split: str, name: str) -> tuple[str, str]:
        folder = self.spec.splits[('train', 'val').index(split)]
        suffix = 'Aug' if _augmented(split, name) else ''  # only VOC's path uses it
        image = self.spec.image.format(split=folder, name=name)
        return image, self.spec.label.format(split=folder, name=name, suffix=suffix)

    def _parts(self, split: str, names: list[str]) -> dict[str, list[str]]:
        """Return the lists of a split, with the names in each."""
        if '{suffix}' not in self.spec.label or split != 'train':
            return {split: names}
        return {
            'train': [name for name in names if not _augmented(split, name)],
            'aug': [name for name in names if _augmented(split, name)],
        }


def _name(split: str, index: int) -> str:
    return f'{split}_{index + 1:06d}'


def _augmented(split: str, name: str) -> bool:
    """Return whether a name belongs to VOC's augmented part (every second training image)."""
    return split == 'train' and int(name[-6:]) % 2 == 0
