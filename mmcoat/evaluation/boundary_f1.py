"""Measure the outlines of the classes, in addition to their areas."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmcoat.registry import METRICS

from .present_class_iou import PresentClassIoU

TOLERANCE = 0.0075  # share of the image's diagonal; Csurka et al. and the DAVIS benchmark use about the same


@METRICS.register_module()
class BoundaryF1(PresentClassIoU):
    """``PresentClassIoU`` plus the boundary F1 score (Csurka et al., BMVC 2013), both also for each class.

    A point of an outline is matched if the other outline is within ``tolerance`` times the image's diagonal.
    F1 is the harmonic mean of precision (matched share of the predicted outline) and recall (matched share of
    the true one). A class's score is the mean over the images in which the class occurs in truth or
    prediction. ``mBF1`` is the mean over the classes of the ground truth. Image borders and pixels beside
    unlabelled ones do not count as outlines.

    Args:
        tolerance: Share of the diagonal; the distance is at least one pixel.
        **settings: Settings of MMSegmentation's ``IoUMetric``.
    """

    def __init__(self, tolerance: float = TOLERANCE, **settings: Any):
        super().__init__(**settings)
        self.tolerance = tolerance

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the areas of an image and its F1 scores (classes,), NaN for classes that do not occur."""
        first = len(self.results)
        super().process(data_batch, data_samples)
        classes = len(self.dataset_meta['classes'])
        for i, sample in enumerate(data_samples):
            truth = sample['gt_sem_seg']['data'].squeeze().cpu().numpy()
            answer = sample['pred_sem_seg']['data'].squeeze().cpu().numpy()
            scores = boundary_f1(answer, truth, classes, self.tolerance, self.ignore_index)
            self.results[first + i] = (*self.results[first + i], scores)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the results of ``PresentClassIoU``, mBF1, and IoU/<class> and BF1/<class>, in percent."""
        *areas, outlines = zip(*results, strict=True)
        metrics = super().compute_metrics(list(zip(*areas, strict=True)))
        scores = np.array(outlines)
        found = {}
        for i, name in enumerate(self.dataset_meta['classes']):
            if name in self.class_scores:
                found[name] = float(np.nanmean(scores[:, i]))
                metrics[f'IoU/{name}'] = round(100 * self.class_scores[name], 2)
                metrics[f'BF1/{name}'] = round(100 * found[name], 2)
        metrics['mBF1'] = round(100 * float(np.mean(list(found.values()))), 2)
        return metrics


def boundary_f1(
    answer: np.ndarray, truth: np.ndarray, classes: int, tolerance: float, ignored: int
) -> np.ndarray:
    """Label maps (H, W) -> F1 in [0, 1] for each class, NaN if neither map has the class.

    A class that fills the image in both maps has no outline, and scores 1.
    """
    radius = max(1, round(tolerance * float(np.hypot(*truth.shape))))
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    valid = truth != ignored
    # outlines one pixel from an unlabelled area are caused by that area
    counted = cv2.erode(valid.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    scores = np.full(classes, np.nan)
    for i in np.union1d(np.unique(truth[valid]), np.unique(answer[valid])).astype(int):
        ours, theirs = (_outline(x == i) & counted for x in (answer, truth))
        if not ((truth == i) & valid).any() or not ((answer == i) & valid).any():
            scores[i] = 0.0
        elif not ours.any() and not theirs.any():
            scores[i] = 1.0
        else:
            precision, recall = _met(ours, theirs, near), _met(theirs, ours, near)
            scores[i] = 2 * precision * recall / max(precision + recall, 1e-12)
    return scores


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return the outline pixels of a mask; cv2's erosion does not treat the image's border as an outline."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return mask & (inner == 0)


def _met(outline: np.ndarray, other: np.ndarray, near: np.ndarray) -> float:
    """Return the share of an outline that is near the other one; 0 if there is no outline."""
    band = cv2.dilate(other.astype(np.uint8), near) > 0
    return float((outline & band).sum() / max(outline.sum(), 1))
