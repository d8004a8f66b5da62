"""Score and draw single images of detectors: F1 at an IoU of 0.5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmcoat.visualization.overlays import Color, draw_name

from .panels import MISSED, RIGHT, WRONG, Tile, fitted, resized, shrunk
from .predictions import Predictions, Seen

SORTS = dict(f1=True)
LEAST_IOU = 0.5


@dataclass
class Objects:
    """Boxes of an image.

    Attributes:
        boxes: (N, 4), x1 y1 x2 y2 in pixels.
        labels: Class indices, (N,).
        scores: (N,), ones for truth.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass
class Matches:
    """Which boxes are right.

    Attributes:
        right: (found,) bool: matched to an object of the class.
        counted: (found,) bool: False for those on a crowd, which are neither right nor wrong.
        met: (objects,) bool: matched.
        iou: Mean IoU of the matched pairs, None without any.
    """

    right: np.ndarray
    counted: np.ndarray
    met: np.ndarray
    iou: float | None

    def f1(self) -> float | None:
        """Return 2 TP / (2 TP + FP + FN), None where nothing is there and nothing was found."""
        hits = int(self.right.sum())
        total = 2 * hits + int((self.counted & ~self.right).sum()) + int((~self.met).sum())
        return 2 * hits / total if total else None


def overlap(boxes: np.ndarray, others: np.ndarray, over: str = 'union') -> np.ndarray:
    """Boxes (N, 4) and (M, 4) -> intersection over union, or over the area of ``boxes``, (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None]
    if over == 'union':
        areas = areas + (others[:, 2:] - others[:, :2]).prod(1)[None] - common
    return common / np.maximum(areas, 1e-9)


def match(truth: Objects, found: Objects, crowd: Objects) -> Matches:
    """Match boxes to objects of their class, those with the highest scores first, each object once.

    Args:
        truth: The objects.
        found: What was predicted.
        crowd: Regions in which a box of the class is neither right nor wrong.
    """
    right, counted = np.zeros(len(found), bool), np.ones(len(found), bool)
    met, ious = np.zeros(len(truth), bool), []
    shared = overlap(found.boxes, truth.boxes)
    inside = overlap(found.boxes, crowd.boxes, 'box')
    for i in np.argsort(-found.scores, kind='stable'):
        open_ = np.where((truth.labels == found.labels[i]) & ~met, shared[i], 0.0)
        if len(truth) and open_.max() >= LEAST_IOU:
            met[open_.argmax()] = right[i] = True
            ious.append(float(open_.max()))
        elif ((crowd.labels == found.labels[i]) & (inside[i] >= LEAST_IOU)).any():
            counted[i] = False
    return Matches(right, counted, met, float(np.mean(ious)) if ious else None)


@dataclass
class DetectedCase:
    """An image with boxes.

    Attributes:
        picture: (h, w, 3) RGB, uint8, perhaps smaller than the image.
        scale: Of ``picture`` to the image that boxes are in.
        truth: The objects.
        found: What was predicted.
        matches: Which of both fit.
        predictions: For classes and colours.
    """

    picture: np.ndarray
    scale: float
    truth: Objects
    found: Objects
    matches: Matches
    predictions: Predictions

    def tiles(self, side: int) -> list[Tile]:
        height, width = self.picture.shape[:2]
        picture = resized(self.picture, fitted((height, width), side))
        scale = self.scale * side / max(height, width)
        wrong = self.matches.counted & ~self.matches.right
        errors = [
            (self.truth.boxes[~self.matches.met], MISSED),
            (self.found.boxes[self.matches.right], RIGHT),
            (self.found.boxes[wrong], WRONG),
        ]
        boxes = np.concatenate([part for part, _ in errors])
        colours = [colour for part, colour in errors for _ in part]
        return [
            Tile('image', picture),
            Tile('label', self._named(picture, self.truth, scale, False)),
            Tile('prediction', self._named(picture, self.found, scale, True)),
            Tile(
                f'errors: {wrong.sum()} false, {(~self.matches.met).sum()} missed',
                draw_boxes(picture, boxes * scale, colours),
            ),
        ]

    def _named(
        self, picture: np.ndarray, objects: Objects, scale: float, scores: bool
    ) -> np.ndarray:
        names = [self.predictions.classes[i] for i in objects.labels]
        if scores:
            names = [f'{n} {s:.2f}' for n, s in zip(names, objects.scores, strict=True)]
        colours = [_colour(self.predictions.palette[i]) for i in objects.labels]
        return draw_boxes(picture, objects.boxes * scale, colours, names)

    def legend(self) -> list[tuple[str, Color]]:
        return [('right', RIGHT), ('false', WRONG), ('missed', MISSED)]


def _colour(values: np.ndarray) -> Color:
    red, green, blue = values.tolist()
    return red, green, blue


def draw_boxes(
    picture: np.ndarray,
    boxes: np.ndarray,
    colours: Sequence[Color],
    texts: Sequence[str] | None = None,
) -> np.ndarray:
    """Return a picture (h, w, 3) with boxes (N, 4) in its pixels, the first on top."""
    canvas = Image.fromarray(picture)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for i in reversed(range(len(boxes))):
        x1, y1, x2, y2 = (float(value) for value in boxes[i])
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colours[i], width=2)
        if texts:
            most = picture.shape[1] - font.getlength(texts[i])  # inside, as far as it can be
            place = (max(min(x1, most), 0.0), max(y1 - 14, 0.0))
            draw_name(pen, place, texts[i], font, colours[i])
    return np.asarray(canvas)


def score(
    seen: Seen, predictions: Predictions, score_thr: float
) -> tuple[dict[str, Any], DetectedCase]:
    """Return the scores of an image, and what draws it.

    ``f1`` is None where nothing is there and nothing was found; ``iou`` is the mean of the matched boxes.
    """
    sample = seen.sample
    truth = _objects(sample.gt_instances)
    found = _objects(sample.pred_instances, score_thr)
    matches = match(truth, found, _objects(sample.get('ignored_instances')))
    row = dict(
        image=seen.path,
        f1=matches.f1(),
        iou=matches.iou,
        objects=len(truth),
        right=int(matches.right.sum()),
        false=int((matches.counted & ~matches.right).sum()),
        missed=int((~matches.met).sum()),
    )
    size = shrunk(tuple(sample.ori_shape[:2]))
    scale = max(size) / max(sample.ori_shape[:2])
    return row, DetectedCase(seen.picture(size), scale, truth, found, matches, predictions)


def _objects(instances: Any, least: float | None = None) -> Objects:
    """Return the boxes of a sample's instances with at least a score."""
    if instances is None or not len(instances):
        return Objects(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).cpu().numpy().astype(np.float64)
    labels = instances.labels.cpu().numpy()
    if least is None:
        return Objects(boxes, labels, np.ones(len(boxes)))
    scores = instances.scores.cpu().numpy()
    kept = scores >= least
    return Objects(boxes[kept], labels[kept], scores[kept])
