"""The mean IoU over the classes present, against numbers computed by hand."""

import pytest
import torch

pytest.importorskip('mmseg')
from mmcoat.evaluation.present_class_iou import PresentClassIoU


def test_mean_over_the_classes_of_the_ground_truth():
    metric = PresentClassIoU()
    metric.dataset_meta = dict(classes=('sky', 'road', 'tree', 'sea'))
    truth = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 255]])
    predicted = torch.tensor([[0, 0, 2, 1], [1, 1, 0, 3]])
    sample = dict(gt_sem_seg=dict(data=truth), pred_sem_seg=dict(data=predicted))
    metric.process({}, [sample])
    scores = metric.evaluate(1)
    # sky: 2 of 4 pixels of the union; road: 3 of 4; tree is only predicted, the last pixel is ignored
    assert metric.class_scores == {'sky': 0.5, 'road': 0.75}
    assert scores['mIoU_present'] == 62.5


def test_areas_are_summed_over_the_images():
    metric = PresentClassIoU()
    metric.dataset_meta = dict(classes=('sky', 'road'))
    images = [([0] * 8, [0] * 8), ([0, 1, 1, 1], [1, 1, 1, 0])]
    for truth, predicted in images:
        fields = dict(gt_sem_seg=truth, pred_sem_seg=predicted)
        metric.process({}, [{k: dict(data=torch.tensor([v])) for k, v in fields.items()}])
    metric.evaluate(2)
    # sky: 8 of 10 pixels of the union; road: 2 of 4. A mean of the images' scores would give 0.5 and 0.5.
    assert metric.class_scores == pytest.approx({'sky': 0.8, 'road': 0.5})
