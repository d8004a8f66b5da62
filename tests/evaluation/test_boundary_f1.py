"""Boundary F1: cases that can be counted by hand."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg')
from mmcoat.evaluation.boundary_f1 import BoundaryF1, boundary_f1


def halves(column: int, size: int = 40) -> np.ndarray:
    labels = np.zeros((size, size), np.int64)
    labels[:, column:] = 1
    return labels


def score(answer, truth, tolerance=0.03):  # of 56.6 pixels: 2
    return boundary_f1(answer, truth, 3, tolerance, 255)


def test_within_and_beyond_the_tolerance():
    assert score(halves(20), halves(20))[:2].tolist() == [1, 1]
    assert score(halves(22), halves(20))[:2].tolist() == [1, 1]
    assert score(halves(23), halves(20))[:2].tolist() == [0, 0]
    assert np.isnan(score(halves(20), halves(20))[2])  # occurs nowhere


def test_half_of_an_outline():
    """The lower half of the edge is 10 pixels away, so half is matched both ways, except at the step."""
    answer = halves(20)
    answer[20:] = halves(30)[20:]
    assert score(answer, halves(20))[0] == pytest.approx(0.5, abs=0.1)


def test_classes_that_one_map_lacks_and_classes_without_outline():
    answer = halves(20)
    answer[:5, :5] = 2
    assert score(answer, halves(20))[2] == 0
    assert score(halves(20), answer)[2] == 0
    same = np.zeros((40, 40), np.int64)
    assert score(same, same)[0] == 1
    assert score(halves(38), same)[0] < 1


def test_unlabelled_ground_makes_no_outline():
    truth = halves(20)
    truth[:, 18:22] = 255
    assert score(halves(21), truth)[:2].tolist() == [1, 1]  # no outline is left to judge


def test_metric_names_and_means():
    metric = BoundaryF1(iou_metrics=['mIoU'], tolerance=0.03)
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    for answer in (halves(20), halves(23)):
        maps = dict(
            gt_sem_seg=dict(data=torch.from_numpy(halves(20))[None]),
            pred_sem_seg=dict(data=torch.from_numpy(answer)[None]),
        )
        metric.process(None, [maps])
    found = metric.compute_metrics(metric.results)
    assert found['mBF1'] == found['BF1/a'] == found['BF1/b'] == 50
    assert found['IoU/a'] == pytest.approx(100 * 40 / 43, abs=0.01)
    assert 'IoU/c' not in found and found['mIoU_present'] < 100
