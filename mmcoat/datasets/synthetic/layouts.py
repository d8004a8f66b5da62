"""Writes the scenes of the synthetic ADE20K in the layouts of other segmentation data sets."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ._files import (
    Progress,
    check_request,
    prepare_folder,
    scene_rng,
    write_image,
    write_info,
    write_jpeg,
    write_readme,
)
from .scenes import STREET_CLASSES, street_scene

IGNORED = 255


@dataclass(frozen=True)
class SceneLayout:
    """Where a data set keeps its files, and which numbers its label maps hold.

    Attributes:
        image: Path of an image under the root, with {split} and {name}.
        label: Path of its label map.
        splits: What the set calls its training and its validation part.
        values: Label values of the classes in `STREET_CLASSES` that the set knows.
        other: Label value of everything else.
        listing: Path of the text file with a split's names, or None where folders are the splits.
    """

    image: str
    label: str
    splits: tuple[str, str]
    values: Mapping[str, int]
    other: int
    listing: str | None = None

    def folders(self) -> set[str]:
        """Returns the topmost folders of the layout."""
        paths = [path for path in (self.image, self.label, self.listing) if path]
        tops = {path.split('/')[0] for path in paths}
        return {top.format(suffix=suffix) for top in tops for suffix in ('', 'Aug')}


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
    'voc': SceneLayout(  # `aug` lists the images that the training split lacks, as the real one does
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
    'drive': SceneLayout(  # no vessels: trees and people are what stands before the background
        image='images/{split}/{name}.png',
        label='annotations/{split}/{name}_manual1.png',
        splits=('training', 'validation'),
        values=dict(tree=1, person=1),
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
) -> dict[str, object]:
    """Writes a synthetic data set in one of the `LAYOUTS`; its pictures are those of `make_ade20k`.

    Args:
        root: Folder to write; new, empty, or with `overwrite` an earlier synthetic set of this layout.
        layout: Name of the layout.
        train: Number of training images.
        val: Number of validation images.
        size: Width and height in pixels.
        seed: Seed.
        overwrite: Whether to replace a synthetic data set.
        progress: Called after each image with the number done and the number wanted.

    Returns:
        What `dataset_info.json` holds.

    Raises:
        ValueError: Where an argument is out of range or the folder is in use.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'layout must be one of {sorted(LAYOUTS)}, not {layout!r}')
    check_request(train, val, size, seed)
    root, spec = Path(root), LAYOUTS[layout]
    prepare_folder(root, layout, overwrite)
    for (
        folder
    ) in spec.folders():  # left by an earlier synthetic set; prepare_folder has checked that
        shutil.rmtree(root / folder, ignore_errors=True)
    info = dict(
        synthetic=layout, complete=False, seed=seed, size=list(size), train=train, val=val,
        classes=[name for name in STREET_CLASSES if name in spec.values],
    )  # fmt: skip
    write_info(root, info)
    done = 0
    for split, count in (('train', train), ('val', val)):
        names = [f'{split}_{index + 1:06d}' for index in range(count)]
        for index, name in enumerate(names):
            _write_scene(
                root, spec, split, name, street_scene(scene_rng(seed, split, index), *size)
            )
            done += 1
            if progress is not None:
                progress(done, train + val)
        _write_listing(root, spec, split, names)
    info['complete'] = True
    write_readme(root, f'Synthetic scenes in the layout of {layout}', info)
    write_info(root, info)
    return info


def label_values(spec: SceneLayout) -> dict[str | None, int]:
    """Returns the label value of every class, and under None of what belongs to none."""
    return {name: spec.values.get(name, spec.other) for name in (*STREET_CLASSES, None)}


def _write_scene(root: Path, spec: SceneLayout, split: str, name: str, scene: object) -> None:
    labels = scene.label_map(label_values(spec)).astype(np.uint8)
    folder = spec.splits[('train', 'val').index(split)]
    suffix = 'Aug' if _augmented(split, name) else ''  # only VOC's path has a place for it
    image = root / spec.image.format(split=folder, name=name)
    image.parent.mkdir(parents=True, exist_ok=True)
    if image.suffix == '.jpg':
        write_jpeg(image, scene.image)
    else:
        write_image(image, scene.image[..., ::-1])
    label = root / spec.label.format(split=folder, name=name, suffix=suffix)
    label.parent.mkdir(parents=True, exist_ok=True)
    write_image(label, labels)


def _augmented(split: str, name: str) -> bool:
    """Says whether a name belongs to VOC's augmented part: every second training image."""
    return split == 'train' and int(name[-6:]) % 2 == 0


def _write_listing(root: Path, spec: SceneLayout, split: str, names: list[str]) -> None:
    if spec.listing is None:
        return
    lists = {split: names}
    if '{suffix}' in spec.label and split == 'train':
        lists = {
            'train': [name for name in names if not _augmented(split, name)],
            'aug': [name for name in names if _augmented(split, name)],
        }
    for part, members in lists.items():
        path = root / spec.listing.format(split=part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(f'{name}\n' for name in members), encoding='utf-8')
