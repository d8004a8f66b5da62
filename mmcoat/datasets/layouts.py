"""Segmentation data sets: the folder tree that MMSegmentation's class expects, and where to get the files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PREPARE = "MMSegmentation's tools/dataset_converters/"


@dataclass(frozen=True)
class Layout:
    """The files that a dataset class expects on the disk.

    Attributes:
        tree: Files under data_root, in one line.
        source: Where to download the data set, and the tool that turns it into this tree.
        suffixes: Endings of images and label maps.
    """

    tree: str
    source: str
    suffixes: tuple[str, str]


def _tiles(name: str, source: str) -> Layout:
    tree = 'img_dir/{train,val}/*.png with ann_dir/{train,val}/*.png of the same names'
    return Layout(tree, f'{source}; then {_PREPARE}{name}.py', ('.png', '.png'))


SEGMENTATION = {
    'CityscapesDataset': Layout(
        'leftImg8bit/{train,val}/<city>/*_leftImg8bit.png with '
        'gtFine/{train,val}/<city>/*_gtFine_labelTrainIds.png',
        'https://www.cityscapes-dataset.com (leftImg8bit_trainvaltest, gtFine_trainvaltest); the '
        f'labelTrainIds come from {_PREPARE}cityscapes.py',
        ('_leftImg8bit.png', '_gtFine_labelTrainIds.png'),
    ),
    'PascalVOCDataset': Layout(
        'JPEGImages/*.jpg, SegmentationClass/*.png, SegmentationClassAug/*.png, '
        'ImageSets/Segmentation/{train,aug,val}.txt',
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2012 and SBD; the augmentation comes from '
        f'{_PREPARE}voc_aug.py',
        ('.jpg', '.png'),
    ),
    'PascalContextDataset59': Layout(
        'JPEGImages/*.jpg, SegmentationClassContext/*.png, '
        'ImageSets/SegmentationContext/{train,val}.txt',
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2010 and trainval_merged.json; the label maps come '
        f'from {_PREPARE}pascal_context.py',
        ('.jpg', '.png'),
    ),
    'COCOStuffDataset': Layout(
        'images/{train,val}2017/*.jpg with annotations/{train,val}2017/*_labelTrainIds.png',
        'https://github.com/nightrome/cocostuff (stuffthingmaps_trainval2017); the labelTrainIds come '
        f'from {_PREPARE}coco_stuff164k.py',
        ('.jpg', '_labelTrainIds.png'),
    ),
    'LoveDADataset': _tiles('loveda', 'https://zenodo.org/record/5706578'),
    'PotsdamDataset': _tiles('potsdam', 'https://www.isprs.org (2D semantic labeling, Potsdam)'),
    'DRIVEDataset': Layout(
        'images/{training,validation}/*.png with annotations/{training,validation}/*_manual1.png',
        f'https://drive.grand-challenge.org; then {_PREPARE}drive.py',
        ('.png', '_manual1.png'),
    ),
}


def first_lacking(names: Iterable[str], folder: Path, suffix: str) -> Path | None:
    """Return the first file ``folder/<name><suffix>`` that does not exist, None if all exist."""
    for name in names:
        path = folder / f'{name}{suffix}'
        if not path.is_file():
            return path
    return None
