"""MMSegmentation's IoU over the classes that the ground truth contains."""

import numpy as np
from mmseg.evaluation import IoUMetric

from mmcoat.registry import METRICS


@METRICS.register_module()
class PresentClassIoU(IoUMetric):
    """``IoUMetric`` with ``mIoU_present`` beside its results.

    Its own mean runs over all classes that occur in truth or prediction; a small data set with few of
    ADE20K's 150 classes is judged by the mean over those in its ground truth. Pixels wrongly given to
    another class still count against the class that they belong to.

    Attributes:
        class_scores: {class name: IoU in [0, 1]} of the classes present, after each evaluation.
    """

    default_prefix = ''

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return ``IoUMetric``'s results and ``mIoU_present``, in percent."""
        metrics = super().compute_metrics(results)
        intersection, union, _, label = (sum(areas) for areas in zip(*results, strict=True))
        names = self.dataset_meta['classes']
        self.class_scores = {
            names[i]: float(intersection[i] / union[i]) for i in np.flatnonzero(label.numpy())
        }
        metrics['mIoU_present'] = round(100 * float(np.mean(list(self.class_scores.values()))), 2)
        return metrics
