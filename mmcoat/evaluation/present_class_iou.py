"""MMSegmentation's IoU over the classes that the ground truth contains."""

import numpy as np
from mmseg.evaluation import IoUMetric

from mmcoat.registry import METRICS


@METRICS.register_module()
class PresentClassIoU(IoUMetric):
    """``IoUMetric`` with ``mIoU_present`` beside its results.

    ``IoUMetric``'s mean covers all classes that occur in truth or prediction. For a small data set with few
    of ADE20K's 150 classes, the mean over the classes in the ground truth is the better score. Wrongly
    predicted pixels still count against their true class.

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
