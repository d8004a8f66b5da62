"""How well the outlines of the classes are met, beside how well their areas are."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmcoat.registry import METRICS

from .present_class_iou import PresentClassIoU

TOLERANCE = 0.0075  # of the image's diagonal, as Csurka et al. and the DAVIS benchmark take about


@METRICS.register_module()
class BoundaryF1(PresentClassIoU):
    """``PresentClassIoU`` with the boundary F1 score (Csurka et al., BMVC 2013), and both for each class.

    A point of an outline is met where the other one passes within ``tolerance`` times the image's diagonal.
    F1 is the harmonic mean of the share of the predicted outline that is met and of the true one. A class's
    score is its mean over the images in which it occurs in truth or prediction; ``mBF1`` is the mean over the
    classes of the ground truth. Image borders are no outlines, nor is what lies beside unlabelled pixels.

    Args:
        tolerance: Share of the diagonal; at least one pixel.
        **settings: Of MMSegmentation's ``IoUMetric``.
    """

    def __init__(self, tolerance: float = TOLERANCE, **settings: Any):
        super().__init__(**settings)
        self.tolerance = tolerance

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep, beside the areas of an image, the F1 scores (classes,), NaN where a class does not occur."""
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
    """Label maps (H, W) -> F1 in [0, 1] for each class, NaN where neither map has it.

    A class without any outline in either map, one that fills the image, scores 1.
    """
    radius = max(1, round(tolerance * float(np.hypot(*truth.shape))))
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    valid = truth != ignored
    # outlines one pixel beside unlabelled ground are made by it
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
    """Return the innermost pixels of a mask; cv2's erosion does not count the image's border."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    return mask & (inner == 0)


def _met(outline: np.ndarray, other: np.ndarray, near: np.ndarray) -> float:
    """Return the share of an outline that lies near the other one; 0 without an outline."""
    band = cv2.dilate(other.astype(np.uint8), near) > 0
    return float((outline & band).sum() / max(outline.sum(), 1))
