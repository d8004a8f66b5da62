"""Score and draw single segmented images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmcoat.visualization.overlays import Color, draw_label_map

from .confusion import Confusion
from .panels import NO_LABEL, WRONG, Tile, fitted, resized, shrunk
from .predictions import Predictions, Seen, label_maps

SORTS = dict(iou=True, accuracy=True, loss=False)  # whether more is better
OPACITY = 0.75


@dataclass
class SegmentedCase:
    """A segmented image.

    Attributes:
        picture: (H, W, 3) RGB, uint8.
        truth: Labels, (H, W).
        answer: Predicted labels, (H, W).
        predictions: For classes, colours and the ignored label.
        iou: Of the classes in truth or prediction, by name.
        wrong: Share of the labelled pixels that are wrong.
    """

    picture: np.ndarray
    truth: np.ndarray
    answer: np.ndarray
    predictions: Predictions
    iou: dict[str, float]
    wrong: float

    def tiles(self, side: int) -> list[Tile]:
        size = fitted(self.truth.shape[:2], side)
        picture = resized(self.picture, size)
        truth, answer = (resized(m, size, labels=True) for m in (self.truth, self.answer))
        named = self.predictions.classes, self.predictions.palette, OPACITY
        ignored = self.predictions.ignored
        grey = 140 + 0.45 * picture.mean(2, keepdims=True).repeat(3, 2)
        errors = np.where((truth != answer)[..., None], np.array(WRONG), grey)
        errors[truth == ignored] = NO_LABEL
        return [
            Tile('image', picture),
            Tile('label', draw_label_map(picture, truth, *named, ignored, legend=False)),
            Tile('prediction', draw_label_map(picture, answer, *named, ignored, legend=False)),
            Tile(f'errors: {self.wrong:.1%}', errors.clip(0, 255).astype(np.uint8)),
        ]

    def legend(self) -> list[tuple[str, Color]]:
        names, palette = self.predictions.classes, self.predictions.palette
        classes: list[tuple[str, Color]] = []
        for name, iou in sorted(self.iou.items(), key=lambda item: item[1]):
            red, green, blue = palette[names.index(name)].tolist()
            classes.append((f'{name}  {iou:.2f}', (red, green, blue)))
        unlabelled = (self.truth == self.predictions.ignored).any()
        return [*classes, ('wrong', WRONG), *([('no label', NO_LABEL)] if unlabelled else [])]


def score(seen: Seen, predictions: Predictions) -> tuple[dict[str, Any], SegmentedCase]:
    """Return the scores of an image, None where it has no labelled pixel, and what draws it.

    ``iou`` is the mean over the classes that occur in truth or prediction, ``accuracy`` the share of right
    pixels, ``loss`` the mean cross entropy (None of heads that give no logits, as Mask2Former's).

    Raises:
        AnalysisError: Its label map does not fit.
    """
    truth, answer = label_maps(seen)
    counts = Confusion(predictions.classes)
    counts.add(truth, answer, predictions.ignored, seen.path)
    iou = counts.iou()
    by_class = {predictions.classes[i]: float(iou[i]) for i in np.flatnonzero(np.isfinite(iou))}
    pixels, scores = int(counts.matrix.sum()), dict.fromkeys(SORTS)
    row: dict[str, Any] = dict(image=seen.path, **scores, pixels=pixels)
    if pixels:
        row['iou'] = float(np.nanmean(iou))
        row['accuracy'] = float(np.diag(counts.matrix).sum() / pixels)
        if has_logits(predictions.model):
            row['loss'] = _loss(seen.sample.seg_logits.data, truth, predictions.ignored)
    row['classes'] = by_class
    size = shrunk((truth.shape[0], truth.shape[1]))
    kind = np.uint8 if max(truth.max(), answer.max()) < 256 else np.uint16
    small_truth, small_answer = (
        resized(m.astype(kind), size, labels=True) for m in (truth, answer)
    )
    wrong = 1.0 - (row['accuracy'] if pixels else 1.0)
    maps = small_truth, small_answer
    return row, SegmentedCase(seen.picture(size), *maps, predictions, by_class, wrong)


def has_logits(model: Any) -> bool:
    """Say whether a segmentor's scores are logits: Mask2Former's are sums of probabilities."""
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    head = getattr(model, 'decode_head', None)
    head = head[-1] if isinstance(head, torch.nn.ModuleList) else head
    return isinstance(head, BaseDecodeHead)


def _loss(scores: Tensor, truth: np.ndarray, ignored: int) -> float:
    """Return the mean cross entropy of scores (C, H, W) and labels (H, W)."""
    label = torch.from_numpy(truth).to(scores.device)
    valid = label != ignored
    if scores.shape[0] == 1:  # MMSegmentation has applied the sigmoid already
        chance = scores[0][valid].float().clamp(1e-7, 1 - 1e-7)
        return float(F.binary_cross_entropy(chance, label[valid].float()))
    return float(F.cross_entropy(scores.float()[None], label[None], ignore_index=ignored))
