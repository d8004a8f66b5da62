"""The results of an inferencer for an image: the task's own fields, a picture, and files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from mmcoat.errors import UsageError
from mmcoat.visualization.overlays import as_picture, beside_legend, draw_instances, draw_label_map

from .georeference import Georeference, coloured, write_tiff
from .reading import release, zeros

KINDS = ('overlay', 'png', 'tif', 'coco', 'npz')
IGNORED = 255  # the label of pixels of no class, as in MMSegmentation
MOST_DRAWN = 16_000_000  # pixels of an overlay


@dataclass
class Result:
    """Base class of all results.

    Attributes:
        name: Stem under which files are saved.
        image: The image, (H, W, 3) RGB, uint8; of a model that takes other channels, as it was read.
        classes: Names of the classes.
        palette: Their colours, (classes, 3) uint8.
        place: Where the image lies on the earth, if its file says so.
    """

    name: str
    image: np.ndarray
    classes: tuple[str, ...]
    palette: np.ndarray
    place: Georeference | None = field(default=None, kw_only=True)

    kinds: ClassVar[tuple[str, ...]] = ('overlay', 'npz')  # files that this task can write

    def plot(self, opacity: float = 0.5, legend: bool = True) -> np.ndarray:
        """Return a picture of the result, (H, W, 3) RGB, uint8.

        Args:
            opacity: Of the colours, from 0 to 1.
            legend: Whether classes are listed beside the image, if the task has such a list.
        """
        raise NotImplementedError

    def only(self, classes: Sequence[str]) -> 'Result':
        """Return the result with these classes only.

        Raises:
            UsageError: The model does not have a class; the message has the nearest name.
        """
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            near = get_close_matches(unknown[0], self.classes, 1)
            hint = (
                f'; did you mean {near[0]!r}?' if near else f', choose of {list(self.classes)[:20]}'
            )
            raise UsageError(f'the model has no class {unknown[0]!r}{hint}')
        return self._only([self.classes.index(name) for name in classes])

    def _only(self, wanted: list[int]) -> 'Result':
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the result's fields as arrays, as ``npz`` files hold them."""
        raise NotImplementedError

    def save(
        self, folder: str | Path, kinds: tuple[str, ...] = ('overlay',), opacity: float = 0.5
    ) -> list[Path]:
        """Write the result into ``folder`` and return the files.

        Args:
            folder: Made where it is missing.
            kinds: ``'overlay'`` (NAME_overlay.png), ``'png'`` and ``'tif'`` (the label map of a segmentation,
                NAME.png and NAME_labels.tif) and ``'npz'`` (NAME.npz, all fields); ``'coco'`` is one file for
                all images, see ``to_coco``.
            opacity: Of the colours in the overlay.

        Raises:
            UsageError: This task does not have a kind.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        unknown = [kind for kind in kinds if kind not in (*self.kinds, 'coco')]
        if unknown:
            raise UsageError(
                f'{type(self).__name__} cannot be saved as {unknown}; choose of {self.kinds}'
            )
        written = []
        if 'overlay' in kinds:
            written.append(folder / f'{self.name}_overlay.png')
            Image.fromarray(self.plot(opacity)).save(written[-1])
        if 'png' in kinds:
            written.append(self.to_png(folder / f'{self.name}.png'))
        if 'tif' in kinds:
            written.append(self.to_tiff(folder / f'{self.name}_labels.tif'))
        if 'npz' in kinds:
            written.append(folder / f'{self.name}.npz')
            np.savez_compressed(written[-1], **self.arrays())
        return written

    def to_png(self, path: str | Path) -> Path:
        """Write the label map; only segmentation has one."""
        raise UsageError(f'{type(self).__name__} has no label map')

    def to_tiff(self, path: str | Path) -> Path:
        """Write the label map; only segmentation has one."""
        raise UsageError(f'{type(self).__name__} has no label map')

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return COCO's result entries; only detection has them."""
        raise UsageError(f'{type(self).__name__} has no COCO form')


@dataclass
class SegmentationResult(Result):
    """A label map.

    Attributes:
        label_map: Class indices, (H, W), uint8 or uint16.
    """

    label_map: np.ndarray

    kinds: ClassVar[tuple[str, ...]] = ('overlay', 'png', 'tif', 'npz')

    def plot(self, opacity: float = 0.5, legend: bool = True) -> np.ndarray:
        """Return the image under its coloured label map; images above 16 megapixels are drawn smaller."""
        step = math.isqrt((self.label_map.size - 1) // MOST_DRAWN) + 1
        image = as_picture(self.image[::step, ::step])
        release(self.image)
        labels = np.ascontiguousarray(self.label_map[::step, ::step])
        return draw_label_map(image, labels, self.classes, self.palette, opacity, legend=legend)

    def _only(self, wanted: list[int]) -> 'SegmentationResult':
        table = np.full(2 ** (8 * self.label_map.itemsize), IGNORED, self.label_map.dtype)
        table[wanted] = wanted
        kept = zeros(self.label_map.shape, self.label_map.dtype)
        for row, labels in zip(kept, self.label_map, strict=True):
            row[:] = table[labels]
        return replace(self, label_map=kept)

    def arrays(self) -> dict[str, np.ndarray]:
        return dict(label_map=self.label_map, classes=np.array(self.classes))

    def to_png(self, path: str | Path) -> Path:
        """Write the label map as a PNG whose pixels are the class indices, coloured by its palette.

        Where the image's place is known, a world file (``.pgw``) is written beside it.
        """
        coloured(self.label_map, self.palette).save(path)
        if self.place is not None:
            self.place.write_world(path)
        return Path(path)

    def to_tiff(self, path: str | Path) -> Path:
        """Write the label map as a compressed, coloured TIFF, with the image's place and coordinates."""
        return write_tiff(path, self.label_map, self.palette, self.place)


@dataclass
class DetectionResult(Result):
    """Boxes, best first; in instance segmentation also masks.

    Attributes:
        boxes: (N, 4), x1 y1 x2 y2 in pixels of the image.
        scores: (N,).
        labels: Class indices, (N,).
        masks: (N, H, W) bool, or None.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None

    kinds: ClassVar[tuple[str, ...]] = ('overlay', 'npz', 'coco')

    def plot(self, opacity: float = 0.5, legend: bool = True) -> np.ndarray:
        fields = (self.boxes, self.labels, self.scores, self.masks)
        return draw_instances(as_picture(self.image), *fields, self.classes, self.palette, opacity)

    def _only(self, wanted: list[int]) -> 'DetectionResult':
        kept = np.isin(self.labels, wanted)
        return replace(
            self,
            boxes=self.boxes[kept],
            scores=self.scores[kept],
            labels=self.labels[kept],
            masks=None if self.masks is None else self.masks[kept],
        )

    def arrays(self) -> dict[str, np.ndarray]:
        fields = dict(boxes=self.boxes, scores=self.scores, labels=self.labels)
        if self.masks is not None:
            fields['masks'] = self.masks
        return dict(fields, classes=np.array(self.classes))

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return entries of COCO's result format; categories are the class indices, from 0.

        Args:
            image_id: The image's id in the annotation file.

        Returns:
            One dict per box: image_id, category_id, category_name, bbox (x y w h), score and, with masks,
            segmentation (compressed RLE).
        """
        entries = []
        for i, (x1, y1, x2, y2) in enumerate(self.boxes.tolist()):
            entry = dict(
                image_id=image_id,
                category_id=int(self.labels[i]),
                category_name=self.classes[self.labels[i]],
                bbox=[x1, y1, x2 - x1, y2 - y1],
                score=float(self.scores[i]),
            )
            if self.masks is not None:
                entry['segmentation'] = _rle(self.masks[i])
            entries.append(entry)
        return entries


def _rle(mask: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask as coco_mask  # comes with MMDetection, as the masks do

    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=list(code['size']), counts=code['counts'].decode())


@dataclass
class ClassificationResult(Result):
    """Class probabilities.

    Attributes:
        scores: (classes,), adding up to one.
    """

    scores: np.ndarray

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the ``count`` most likely classes and their probabilities."""
        best = np.argsort(-self.scores)[:count]
        return [(self.classes[i], float(self.scores[i])) for i in best]

    def _only(self, wanted: list[int]) -> 'ClassificationResult':
        scores = np.zeros_like(self.scores)
        scores[wanted] = self.scores[wanted]
        return replace(self, scores=scores)

    def plot(self, opacity: float = 0.5, legend: bool = True) -> np.ndarray:
        colours = {name: tuple(self.palette[i].tolist()) for i, name in enumerate(self.classes)}
        return beside_legend(
            as_picture(self.image),
            [(f'{name}  {score:.1%}', colours[name]) for name, score in self.top()],
        )

    def arrays(self) -> dict[str, np.ndarray]:
        return dict(scores=self.scores, classes=np.array(self.classes))
