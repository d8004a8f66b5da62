"""Small user data sets, and configs of a small model for them."""

from pathlib import Path

import cv2
import numpy as np

from tests.helpers import ROOT

CLASSES = ('road', 'field', 'forest')
BASES = ROOT / 'configs' / '_base_'


def write_image(path: Path, labels: np.ndarray, channels: int, seed: int) -> None:
    """Write an image whose values depend on the labels, as .npy, .tif (a band a page) or a picture."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 60, (*labels.shape, channels))
    image = (labels[..., None] * 40 + noise).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npy':
        np.save(path, image.astype(np.uint16) * 9)
    elif path.suffix == '.tif' and channels > 4:
        assert cv2.imwritemulti(
            str(path), [np.ascontiguousarray(b) for b in np.moveaxis(image, 2, 0)]
        )
    else:
        assert cv2.imwrite(str(path), image)


def draw(root: Path, suffix: str = '.jpg', channels: int = 3, first: int = 1) -> Path:
    """Draw two images a split in ADE20K's layout; label maps hold 255 and ``first`` onwards."""
    stripes = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None].repeat(64, axis=1)
    labels = stripes if first else np.where(stripes == 0, 255, stripes - 1).astype(np.uint8)
    for split in ('training', 'validation'):
        (root / 'annotations' / split).mkdir(parents=True)
        for index, name in enumerate('ab'):
            path = root / 'images' / split / f'{name}{suffix}'
            write_image(path, np.rot90(stripes, index), channels, index)
            target = root / 'annotations' / split / f'{name}.png'
            cv2.imwrite(str(target), np.rot90(labels, index))
    return root


def segmentation_config(path: Path, root: Path, text: str = '', head: str = 'fpn') -> Path:
    """Write a config of CoaT-Lite Tiny on own segmentation data that trains one step."""
    path.write_text(f"""
_base_ = [
    {str(BASES / 'backbones' / 'coat_lite_tiny.py')!r},
    {str(BASES / 'models' / f'{head}_coat.py')!r},
    {str(BASES / 'datasets' / 'own_segmentation.py')!r},
    {str(BASES / 'schedules' / 'adamw_80k.py')!r},
    {str(BASES / 'runtimes' / 'mmseg.py')!r},
]
model = dict(
    backbone=dict(arch=_base_.backbone.arch), neck=dict(in_channels=_base_.channels)
)
data_root = {str(root)!r}
crop_size = (64, 64)
scale = (128, 64)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=1, val_interval=9)
default_hooks = dict(logger=dict(interval=1))
{text}
""")
    return path
