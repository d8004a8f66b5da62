"""Write samples in the layout that own_segmentation.py reads, and compute their statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mmcoat.datasets.images import ARRAYS, read_channels
from mmcoat.datasets.palette import distinct_colours

from .common import IGNORED, PrepareError, Request, Sample, Summary, assign_splits, check_classes
from .writing import Writer

FOLDERS = {'train': 'training', 'val': 'validation'}
SAME = {'.jpeg': '.jpg', '.tiff': '.tif'}  # two names of the same format
CROP = 512


@dataclass
class Statistics:
    """Sums over the training images for each channel and each class, and the images' short sides."""

    count: int = 0
    total: np.ndarray | float = 0.0
    square: np.ndarray | float = 0.0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    sides: list[int] = field(default_factory=list)

    def add(self, image: np.ndarray, labels: np.ndarray) -> None:
        """Add an (H, W, C) image and its (H, W) labels."""
        values = image.reshape(-1, image.shape[2]).astype(np.float64)
        self.count += len(values)
        self.total = self.total + values.sum(0)
        self.square = self.square + (values**2).sum(0)
        self.pixels += np.bincount(labels.ravel(), minlength=256)
        self.sides.append(min(labels.shape))

    def facts(self) -> dict[str, object]:
        """Return means, stds, and sizes that suit the images."""
        mean = np.asarray(self.total) / self.count
        std = np.sqrt(np.maximum(np.asarray(self.square) / self.count - mean**2, 0))
        std[std < 1e-6] = 1.0  # a channel that never changes
        side = int(np.median(self.sides))
        crop = max(64, min(CROP, side) // 32 * 32)
        return dict(
            mean=[float(f'{value:.5g}') for value in mean],
            std=[float(f'{value:.5g}') for value in std],
            crop_size=(crop, crop),
            scale=(4 * side, side) if side < CROP else (4 * CROP, CROP),
        )


def write_segmentation(
    samples: Sequence[Sample],
    classes: Sequence[str],
    request: Request,
    palette: list[list[int]] | None = None,
) -> Summary:
    """Write images and label maps; in a map, 0 is the first class and 255 means no class.

    Args:
        samples: What to write.
        classes: Names.
        request: Where and how.
        palette: Colours of the classes.

    Raises:
        PrepareError, ImageError: One line with the file that is broken or does not match; nothing is written.
    """
    check_classes(classes)
    splits = {s.name: s.split for s in samples}
    if None in splits.values():
        splits = dict(assign_splits(list(splits), request.val, request.seed))
    suffix = _suffix(samples)
    statistics, channels = Statistics(), request.channels
    if channels is None:
        channels = read_channels(samples[0].image).shape[2] if suffix in ARRAYS else 3
    with Writer(request.out, request.overwrite) as writer:
        for done, sample in enumerate(samples, 1):
            split = splits[sample.name]
            image, labels = _read(sample, channels)
            if split == 'train':
                statistics.add(image, labels)
            _write_image(
                writer, sample, f'images/{FOLDERS[split]}/{sample.name}', suffix, request.link
            )
            _write_png(writer.place(f'annotations/{FOLDERS[split]}/{sample.name}.png'), labels)
            request.progress('writing', done, len(samples))
    return _summary(classes, palette, list(splits.values()), suffix, statistics)


def _summary(
    classes: Sequence[str],
    palette: list[list[int]] | None,
    splits: list[str],
    suffix: str,
    statistics: Statistics,
) -> Summary:
    facts = dict(img_suffix=suffix, seg_map_suffix='.png', reduce_zero_label=False)
    pixels = statistics.pixels[: len(classes)].tolist()
    summary = Summary(
        classes,
        palette or distinct_colours(len(classes)),
        {split: splits.count(split) for split in FOLDERS},
        facts | statistics.facts(),
        pixels=pixels,
    )
    absent = [name for name, count in zip(classes, pixels, strict=True) if not count]
    if absent:
        summary.notes.append(f'no training image shows {", ".join(absent)}')
    ignored = statistics.pixels[IGNORED] / max(1, statistics.pixels.sum())
    if ignored:
        summary.notes.append(f'{ignored:.1%} of the training pixels have no class')
    return summary


def _suffix(samples: Sequence[Sample]) -> str:
    """Return the ending for all images: their own, or .png for pictures of several formats."""
    found = {SAME.get(s.image.suffix.lower(), s.image.suffix.lower()) for s in samples}
    if len(found) == 1:
        return found.pop()
    arrays = sorted(found & set(ARRAYS))
    if arrays:
        raise PrepareError(
            f'images end in {" ".join(sorted(found))}: {arrays[0]} goes with no other'
        )
    return '.png'


def _read(sample: Sample, channels: int) -> tuple[np.ndarray, np.ndarray]:
    image, labels = read_channels(sample.image, channels), sample.labels()
    if image.shape[:2] != labels.shape:
        sizes = [f'{shape[1]} x {shape[0]}' for shape in (image.shape, labels.shape)]
        raise PrepareError(f'{sample.image} has {sizes[0]} pixels, its mask {sizes[1]}')
    if not np.isfinite(image).all():
        raise PrepareError(f'{sample.image} holds NaN or infinite values')
    return image, labels


def _write_image(writer: Writer, sample: Sample, name: str, suffix: str, link: bool) -> None:
    own = sample.image.suffix.lower()
    if SAME.get(own, own) == suffix:
        writer.copy(sample.image, name + suffix, link)
        return
    picture = cv2.imdecode(np.fromfile(sample.image, np.uint8), cv2.IMREAD_UNCHANGED)
    _write_png(writer.place(name + suffix), picture)


def _write_png(path: Path, picture: np.ndarray) -> None:
    done, data = cv2.imencode('.png', picture)
    if not done:
        raise PrepareError(f'{path} cannot be encoded as PNG')
    path.write_bytes(data.tobytes())
