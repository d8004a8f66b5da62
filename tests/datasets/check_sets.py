"""Small valid data sets to break, and the findings of a check."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmcoat.datasets.checks import Report, check_sets

CLASSES = ('road', 'field', 'forest')
WIDTH, HEIGHT = 48, 40
SPLITS = dict(train='training', val='validation')


class Maps:
    """Three images with label maps of the values 0 to 3, as `own_segmentation.py` reads them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images, self.maps = root / 'images' / 'training', root / 'annotations' / 'training'
        for folder in (self.images, self.maps):
            folder.mkdir(parents=True)
        self.labels = np.repeat(np.arange(4, dtype=np.uint8), HEIGHT // 4)[:, None].repeat(WIDTH, 1)
        rng = np.random.default_rng(0)
        for name in 'abc':
            pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.images / f'{name}.jpg', quality=90)
            self.put(self.labels, name)
        self.dataset: dict[str, Any] = dict(
            type='BaseSegDataset',
            metainfo=dict(classes=CLASSES),
            data_root=str(root),
            data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
            img_suffix='.jpg',
            seg_map_suffix='.png',
            reduce_zero_label=True,
            pipeline=[
                dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
                dict(type='LoadAnnotations', reduce_zero_label=True),
            ],
        )
        self.cfg: dict[str, Any] = dict(
            default_scope='mmseg', model=dict(decode_head=dict(type='FPNHead', num_classes=3))
        )

    def put(self, labels: np.ndarray, name: str = 'a', ending: str = '.png') -> None:
        Image.fromarray(labels).save(self.maps / f'{name}{ending}')

    def check(self, **settings: Any) -> Report:
        return check_sets([('train', self.dataset)], self.cfg, **settings)


class Coco:
    """Three images with two boxes and polygons each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / 'train2017'
        self.images.mkdir()
        rng = np.random.default_rng(0)
        images, annotations = [], []
        for number in (1, 2, 3):
            pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.images / f'{number}.jpg', quality=90)
            images.append(dict(id=number, file_name=f'{number}.jpg', width=WIDTH, height=HEIGHT))
            for category, (x, y, w, h) in enumerate([(2, 3, 20, 10), (24, 20, 22, 18)], 1):
                polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=category,
                        bbox=[x, y, w, h],
                        area=w * h,
                        iscrowd=0,
                        segmentation=[polygon],
                    )
                )
        categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
        self.content: Any = dict(images=images, annotations=annotations, categories=categories)
        self.dataset: dict[str, Any] = dict(
            type='CocoDataset',
            metainfo=dict(classes=('cat', 'dog')),
            data_root=str(root),
            ann_file='train.json',
            data_prefix=dict(img='train2017/'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            ],
        )
        self.cfg: dict[str, Any] = dict(
            default_scope='mmdet', model=dict(bbox_head=dict(num_classes=2))
        )

    @property
    def first(self) -> dict[str, Any]:
        return self.content['annotations'][0]

    def check(self, text: str | None = None, **settings: Any) -> Report:
        text = json.dumps(self.content) if text is None else text
        (self.root / 'train.json').write_text(text)
        return check_sets([('train', self.dataset)], self.cfg, **settings)


def lines(report: Report) -> dict[str, str]:
    """Return the line of each finding by its name."""
    return {f.name: f.line() for f in report.findings()}


def turn(path: Path, orientation: int) -> None:
    """Set a JPEG's EXIF entry so that it is rotated."""
    image = Image.open(path)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.load()
    image.save(path, exif=exif, quality=90)
